//! The edge's program and maps.

use std::{
    collections::BTreeSet,
    os::fd::AsFd,
    sync::{Arc, Mutex},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, MapData},
};
use aya_log::EbpfLogger;
use balancer_common::{
    Address,
    abi::{self, Traffic},
    flow::HashKey,
};
use balancer_core::{
    model::{BackendId, ServiceId},
    reconcile::{Plan, Step},
    table::Table,
};

use super::{
    backends::Backends,
    counters::Counters,
    directory::Directory,
    error::{DataplaneError, kernel},
    former::Former,
    interfaces,
    layouts::EDGE,
    object::{self, fd, map, program},
    pins::PinDir,
    programs::Programs,
    reclaimer::{Freed, Reclaimer, SharedMemory, locked},
    services::{FilledTables, ServiceMaps},
    tables::Tables,
    writes::Writes,
};
use crate::image::{Region, record};

/// The program's pin, for `bpftool` and for tests that run it on frames of their own.
pub(super) const PROGRAM: &str = "balance";

/// What the program is loaded with.
#[derive(Clone, Copy, Debug)]
pub struct EdgeSettings {
    /// 64 secret bits, the same on every edge.
    pub hash_key: u64,
    /// Whether drops are logged, with a growing distance between lines.
    pub debug_packets: bool,
}

/// Where the program's own log lines go: the daemon's log.
pub type PacketLog = EbpfLogger<&'static dyn log::Log>;

/// The program `balance` with its maps: what one task owns.
pub struct EdgePlane {
    /// Before the memory that it gives back.
    reclaimer: Reclaimer,
    memory: Arc<Mutex<SharedMemory>>,
    services: ServiceMaps,
    /// Tables that are filled.
    filled: FilledTables,
    counters: Counters,
    pub(super) members: HashMap<MapData, u32, u32>,
    pub(super) programs: Programs,
    pub(super) ebpf: Ebpf,
    pub(super) pins: PinDir,
    /// What packets meet until the program is attached in the place of one of the version before.
    former: Option<Former>,
    logger: Option<PacketLog>,
}

impl EdgePlane {
    /// Loads the program with the maps that are pinned already, or with new ones, and pins them.
    /// Nothing is attached yet.
    pub fn load(pins: PinDir, settings: EdgeSettings) -> Result<Self, DataplaneError> {
        pins.create()?;
        let former = Former::open(&pins)?;
        if let Some(former) = &former {
            former.hand_over(&pins)?;
        }
        pins.check(EDGE)?;
        let hash_key = HashKey::expand(settings.hash_key);
        let debug_packets = u32::from(settings.debug_packets);
        let mut loader = EbpfLoader::new();
        loader
            .override_global("HASH_KEY", &hash_key, true)
            .override_global("DEBUG_PACKETS", &debug_packets, true);
        for layout in EDGE {
            loader.map_pin_path(layout.name, pins.path(layout.name));
        }
        let mut ebpf = loader
            .load(object::EDGE_OBJECT)
            .map_err(kernel("create the edge's maps"))?;
        let logger = settings
            .debug_packets
            .then(|| EbpfLogger::init(&mut ebpf).map_err(kernel("start the packet log")))
            .transpose()?;
        program(&mut ebpf, PROGRAM)?
            .load()
            .map_err(kernel("load the program `balance`"))?;
        let programs = Programs::load(&mut ebpf, abi::program::NAMES)?;

        let services = ServiceMaps::new(map(&mut ebpf, "VIPS")?, map(&mut ebpf, "SERVICES")?);
        let mut directory = Directory::open(fd(&mut ebpf, "DIRECTORY")?.as_fd())?;
        let named = services.correct(&mut directory)?;
        let tables = Tables::open(fd(&mut ebpf, "TABLES")?, fd(&mut ebpf, "HISTORIES")?, named)?;
        let counters = Counters::open(fd(&mut ebpf, "TRAFFIC")?, fd(&mut ebpf, "REASONS")?)?;
        let memory = Arc::new(Mutex::new(SharedMemory {
            tables,
            backends: Backends::open(fd(&mut ebpf, "BACKENDS")?)?,
            directory,
        }));
        Ok(Self {
            reclaimer: Reclaimer::start(Arc::clone(&memory))?,
            memory,
            services,
            filled: FilledTables::new(),
            counters,
            members: map(&mut ebpf, "MEMBERS")?,
            programs,
            ebpf,
            pins,
            former,
            logger,
        })
    }

    /// The packet log, when it is on: to be flushed while packets flow.
    pub fn take_logger(&mut self) -> Option<PacketLog> {
        self.logger.take()
    }

    /// The id of the loaded program.
    pub fn program_id(&mut self) -> Result<u32, DataplaneError> {
        let info = program(&mut self.ebpf, PROGRAM)?
            .info()
            .map_err(kernel("read the program's id"))?;
        Ok(info.id())
    }

    /// The program is in the place of those of the version before: what these have is let go.
    pub(super) fn let_former_go(&mut self) -> Result<(), DataplaneError> {
        self.former = None;
        let Some(former) = self.pins.former() else {
            return Ok(());
        };
        // Whoever finds a link there takes the maps for whole.
        for link in interfaces::links(&former)? {
            former.remove(link)?;
        }
        former.remove_all().map(drop)
    }

    /// What the programs have counted, to be read beside whatever else is done here.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Has the next backend of this id begin at zero; gives what the one before was sent.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the row be read or written.
    pub fn clear_traffic(&mut self, id: BackendId) -> Result<Traffic, DataplaneError> {
        let sent = self.counters.traffic(id)?;
        if sent != Traffic::default() {
            self.counters.clear(id)?;
        }
        Ok(sent)
    }

    /// Carries out the steps of a plan. When it returns, packets meet all of them. What they met before is used again after
    /// one grace period, for which nobody waits here.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a write, or when there is no room. Some of the steps may have been done then:
    /// [`EdgePlane::adopt`] makes the maps true again.
    pub fn publish(&mut self, steps: &[Step]) -> Result<(), DataplaneError> {
        let mut freed = Freed::default();
        let done = self.carry_out(steps, &mut freed);
        if done.is_err() {
            // Packets may still use what was not switched yet.
            freed.regions.clear();
        }
        self.reclaimer.reclaim(freed);
        done
    }

    fn carry_out(&mut self, steps: &[Step], freed: &mut Freed) -> Result<(), DataplaneError> {
        let writes = Writes::of(steps);
        self.put_backends(&writes.backends)?;
        let filled = self.fill(&writes.tables)?;
        let changed = self.name(filled, freed);
        let mut memory = locked(&self.memory);
        let directory = &mut memory.directory;
        self.services.switch(&changed, &self.filled, directory)?;
        self.services
            .put(&writes.services, &self.filled, directory)?;
        self.services
            .remove(&writes.gone_services, directory, &mut freed.lines)?;
        for id in &writes.gone_tables {
            freed.regions.extend(self.filled.remove(id));
        }
        for &id in &writes.gone_backends {
            memory.backends.leave(id);
            freed.backends.push(id);
        }
        Ok(())
    }

    /// What packets meet now of the services and backends that `plan` has: what an earlier daemon published last.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the maps be read.
    pub fn previous(&self, plan: &Plan) -> Result<Plan, DataplaneError> {
        if let Some(former) = &self.former {
            return former.previous(plan);
        }
        let memory = locked(&self.memory);
        let mut previous = Plan::default();
        for (key, record) in &plan.services {
            let Some(service) = self.services.in_kernel(key) else {
                continue;
            };
            let table = memory.tables.read(Region::of(service), service.slots());
            if let Some(table) = table {
                previous.tables.insert(record.id, table.into());
            }
        }
        for (&id, backend) in &plan.backends {
            // Of another daemon's state, the id may have meant somebody else.
            if memory.backends.get(id).destination == Address::from(backend.address) {
                previous.backends.insert(id, *backend);
            }
        }
        Ok(previous)
    }

    /// Makes the maps equal to `plan`, whatever is in them, and without a moment in which a service that is in both would be
    /// missing. What is equal already is not written.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a write, or when there is no room.
    pub fn adopt(&mut self, plan: &Plan) -> Result<(), DataplaneError> {
        self.reclaimer.settle()?;
        let mut freed = Freed::default();
        let done = self.make_equal(plan, &mut freed);
        self.reclaimer.reclaim(freed);
        done
    }

    fn make_equal(&mut self, plan: &Plan, freed: &mut Freed) -> Result<(), DataplaneError> {
        self.filled.clear();
        self.services.clear();
        self.free_unnamed(freed)?;
        self.keep_equal(plan);
        let backends: Vec<_> = (plan.backends.iter())
            .map(|(&id, record)| (id, record::backend(record)))
            .collect();
        self.put_backends(&backends)?;
        let mut missing: Vec<(ServiceId, &Table)> = Vec::new();
        for (&id, table) in &plan.tables {
            if !self.filled.contains_key(&id) {
                missing.push((id, table));
            }
        }
        let filled = self.fill(&missing)?;
        self.name(filled, freed);
        let services: Vec<_> = plan.services.iter().map(|(&k, &r)| (k, r)).collect();

        let mut memory = locked(&self.memory);
        let directory = &mut memory.directory;
        self.services.put(&services, &self.filled, directory)?;
        self.services.remove_others(directory, &mut freed.lines)?;
        freed.lines.extend(directory.left());
        let full = directory.needlessly_full(&self.services.all()?);
        if !full.is_empty() {
            memory.empty(full)?;
        }
        let used: BTreeSet<Region> = self.filled.values().copied().collect();
        let already = BTreeSet::from_iter(freed.regions.iter().copied());
        let unused = memory.tables.taken();
        freed
            .regions
            .extend(unused.difference(&used).filter(|of| !already.contains(of)));
        let gone = memory
            .backends
            .ids()
            .filter(|id| !plan.backends.contains_key(id));
        freed.backends.extend(gone.collect::<Vec<_>>());
        for &id in &freed.backends {
            memory.backends.leave(id);
        }
        Ok(())
    }

    /// Frees what neither services nor lines of the directory name: an adoption that failed has left it.
    fn free_unnamed(&mut self, freed: &mut Freed) -> Result<(), DataplaneError> {
        let mut memory = locked(&self.memory);
        let named = self.services.correct(&mut memory.directory)?;
        let unnamed = memory.tables.taken();
        freed.regions.extend(unnamed.difference(&named));
        Ok(())
    }

    /// Leaves the tables where they are that packets meet already as they are planned.
    fn keep_equal(&mut self, plan: &Plan) {
        let memory = locked(&self.memory);
        for (key, record) in &plan.services {
            let (Some(service), Some(table)) =
                (self.services.in_kernel(key), plan.tables.get(&record.id))
            else {
                continue;
            };
            let region = Region::of(service);
            if memory.tables.holds(region, table) {
                self.filled.insert(record.id, region);
            }
        }
    }

    fn put_backends(&self, records: &[(BackendId, abi::Backend)]) -> Result<(), DataplaneError> {
        let ids = || records.iter().map(|(id, _)| *id);
        let mut memory = locked(&self.memory);
        if memory.backends.is_leaving(ids()) {
            drop(memory);
            self.reclaimer.settle()?;
            memory = locked(&self.memory);
        }
        memory.backends.put(records)
    }

    /// Fills tables where no packet reads. If all room is taken, some of it may be about to come free.
    fn fill(&self, tables: &[(ServiceId, &Table)]) -> Result<FilledTables, DataplaneError> {
        let filled = locked(&self.memory).tables.fill(tables);
        let Err(DataplaneError::NoTableLeft(_)) = filled else {
            return filled;
        };
        self.reclaimer.settle()?;
        locked(&self.memory).tables.fill(tables)
    }

    /// These are the services' tables from now on. Gives whose.
    fn name(&mut self, filled: FilledTables, freed: &mut Freed) -> Vec<ServiceId> {
        let changed = filled.keys().copied().collect();
        for (id, region) in filled {
            freed.regions.extend(self.filled.insert(id, region));
        }
        changed
    }
}
