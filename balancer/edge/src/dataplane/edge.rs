//! The edge's program and maps.

use std::collections::{BTreeMap, BTreeSet};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, MapData, MapType, PerCpuArray},
    programs::Xdp,
};
use aya_log::EbpfLogger;
use balancer_common::{
    Address,
    abi::{self, Traffic},
    directory::ALL_LINES,
    flow::HashKey,
    fragments, reason,
};
use balancer_core::{
    model::{BackendId, ServiceId, ServiceKey},
    reconcile::{ServiceRecord, Step},
};

use super::{
    counters::Counters,
    directory::Directory,
    error::{DataplaneError, kernel},
    object,
    pins::{Layout, PinDir},
    programs::Programs,
    record,
    services::Filled,
    tables::Tables,
};

/// The program's pin, for `bpftool` and for tests that run it on frames of their own.
pub(super) const PROGRAM: &str = "balance";

const LAYOUTS: &[Layout] = &[
    Layout {
        name: "DIRECTORY",
        map_type: MapType::Array,
        key_size: 4,
        value_size: 64,
        max_entries: ALL_LINES,
    },
    Layout {
        name: "VIPS",
        map_type: MapType::Hash,
        key_size: 16,
        value_size: 4,
        max_entries: abi::MAX_SERVICES,
    },
    Layout {
        name: "SERVICES",
        map_type: MapType::Hash,
        key_size: 24,
        value_size: 8,
        max_entries: abi::MAX_SERVICES,
    },
    Layout {
        name: "BACKENDS",
        map_type: MapType::Array,
        key_size: 4,
        value_size: 64,
        max_entries: abi::MAX_BACKENDS,
    },
    Layout {
        name: "TRAFFIC",
        map_type: MapType::PerCpuArray,
        key_size: 4,
        value_size: 16,
        max_entries: abi::MAX_BACKENDS,
    },
    Layout {
        name: "REASONS",
        map_type: MapType::PerCpuArray,
        key_size: 4,
        value_size: 16,
        max_entries: reason::ROWS,
    },
    Layout {
        name: "FRAGMENTS",
        map_type: MapType::LruHash,
        key_size: 40,
        value_size: 16,
        max_entries: fragments::MAX_DATAGRAMS,
    },
    Layout {
        name: "MEMBERS",
        map_type: MapType::Hash,
        key_size: 4,
        value_size: 4,
        max_entries: abi::MAX_MEMBERS,
    },
    Layout {
        name: "TABLES",
        map_type: MapType::ArrayOfMaps,
        key_size: 4,
        value_size: 4,
        max_entries: abi::MAX_TABLES,
    },
    Layout {
        name: "HISTORIES",
        map_type: MapType::ArrayOfMaps,
        key_size: 4,
        value_size: 4,
        max_entries: abi::MAX_TABLES,
    },
];

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
    pub(super) ebpf: Ebpf,
    pub(super) pins: PinDir,
    pub(super) directory: Directory,
    pub(super) vips: HashMap<MapData, Address, abi::Vip>,
    pub(super) services: HashMap<MapData, abi::ServiceKey, abi::Service>,
    pub(super) backends: Array<MapData, abi::Backend>,
    traffic: PerCpuArray<MapData, Traffic>,
    pub(super) members: HashMap<MapData, u32, u32>,
    pub(super) tables: Tables,
    pub(super) programs: Programs,
    /// Tables that are filled.
    pub(super) filled: BTreeMap<ServiceId, Filled>,
    /// Services that packets see.
    pub(super) live: BTreeMap<ServiceKey, ServiceRecord>,
    /// The keys of each service among them.
    pub(super) keys: BTreeMap<ServiceId, BTreeSet<ServiceKey>>,
    logger: Option<PacketLog>,
}

impl EdgePlane {
    /// Loads the program with the maps that are pinned already, or with new ones, and pins them.
    /// Nothing is attached yet.
    pub fn load(pins: PinDir, settings: EdgeSettings) -> Result<Self, DataplaneError> {
        pins.create()?;
        pins.check(LAYOUTS)?;
        let hash_key = HashKey::expand(settings.hash_key);
        let debug_packets = u32::from(settings.debug_packets);
        let mut loader = EbpfLoader::new();
        loader
            .override_global("HASH_KEY", &hash_key, true)
            .override_global("DEBUG_PACKETS", &debug_packets, true);
        for layout in LAYOUTS {
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

        let services: HashMap<MapData, abi::ServiceKey, abi::Service> = map(&mut ebpf, "SERVICES")?;
        let used = services
            .iter()
            .flatten()
            .map(|(_, service)| service.table)
            .collect();
        Ok(Self {
            directory: Directory::new(map(&mut ebpf, "DIRECTORY")?),
            vips: map(&mut ebpf, "VIPS")?,
            backends: map(&mut ebpf, "BACKENDS")?,
            traffic: map(&mut ebpf, "TRAFFIC")?,
            members: map(&mut ebpf, "MEMBERS")?,
            tables: Tables::new(
                map(&mut ebpf, "TABLES")?,
                map(&mut ebpf, "HISTORIES")?,
                used,
                &pins,
            )?,
            programs,
            services,
            filled: BTreeMap::new(),
            live: BTreeMap::new(),
            keys: BTreeMap::new(),
            ebpf,
            pins,
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

    /// Carries out the steps of a plan, which are in their order: backends, tables, services, then removals in reverse. However many
    /// there are, the tables take two waits for packets side by side, or none, and the removal of services one; former tables and
    /// backends wait beside this.
    pub fn publish(&mut self, steps: &[Step]) -> Result<(), DataplaneError> {
        let mut tables = Vec::new();
        for step in steps {
            match step {
                Step::PutBackend(id, backend) => {
                    self.tables.wait_for_backend(*id);
                    self.put_backend(*id, record::backend(backend))?;
                }
                Step::PutTable(id, table) => tables.push((*id, table)),
                _ => {}
            }
        }
        self.put_tables(&tables)?;
        let (mut left, mut backends, mut indices) = (Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::PutService(key, record) => self.put_service(*key, *record)?,
                Step::RemoveService(key) => {
                    if self.remove_service(key)? {
                        left.push(Address::from(key.vip));
                    }
                }
                Step::RemoveTable(id) => {
                    indices.extend(self.filled.remove(id).map(|filled| filled.table));
                }
                Step::RemoveBackend(id) => backends.push(*id),
                Step::PutBackend(..) | Step::PutTable(..) => {}
            }
        }
        self.tables.release(indices, backends)?;
        self.clear(&left)
    }

    /// Makes room of what removed services left in the directory, after every packet that met them is through.
    pub(super) fn clear(&mut self, vips: &[Address]) -> Result<(), DataplaneError> {
        if vips.is_empty() {
            return Ok(());
        }
        self.tables.wait_for_packets()?;
        (vips.iter()).try_for_each(|vip| self.directory.clear(vip))
    }

    /// A way to read the counters beside this.
    pub fn counters(&self) -> Result<Counters, DataplaneError> {
        Counters::open(&self.pins)
    }

    pub(super) fn put_backend(
        &mut self,
        id: BackendId,
        record: abi::Backend,
    ) -> Result<(), DataplaneError> {
        self.backends
            .set(u32::from(id.0), record, 0)
            .map_err(kernel("write a backend"))
    }

    /// Has the next backend of this id begin at zero; gives what the one before was sent.
    pub fn clear_traffic(&mut self, id: BackendId) -> Result<Traffic, DataplaneError> {
        let sent = total(&self.traffic, u32::from(id.0))?;
        if sent == Traffic::default() {
            return Ok(sent);
        }
        let rows = self
            .traffic
            .get(&u32::from(id.0), 0)
            .map_err(kernel("read a counter"))?;
        let zero = aya::maps::PerCpuValues::try_from(vec![Traffic::default(); rows.len()])
            .map_err(|source| kernel("clear a counter")(source))?;
        self.traffic
            .set(u32::from(id.0), zero, 0)
            .map_err(kernel("clear a counter"))?;
        Ok(sent)
    }
}

/// The sum of a per-CPU row.
pub(super) fn total(
    rows: &PerCpuArray<MapData, Traffic>,
    index: u32,
) -> Result<Traffic, DataplaneError> {
    let values = rows.get(&index, 0).map_err(kernel("read a counter"))?;
    Ok(values.iter().fold(Traffic::default(), |sum, row| Traffic {
        packets: sum.packets + row.packets,
        bytes: sum.bytes + row.bytes,
    }))
}

/// A program of the object. A prebuilt object of another version may lack it.
pub(super) fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, DataplaneError> {
    let program = ebpf
        .program_mut(name)
        .ok_or_else(|| DataplaneError::Kernel {
            doing: "use a program",
            message: format!(
                "the kernel object that lbd was built with has no `{name}`: build both from the same version"
            ),
        })?;
    program.try_into().map_err(kernel("use a program"))
}

/// Takes a map out of the object.
pub(super) fn map<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, DataplaneError>
where
    M: TryFrom<aya::maps::Map, Error = aya::maps::MapError>,
{
    let map = ebpf.take_map(name).expect("the object has its maps");
    M::try_from(map).map_err(kernel("use a map"))
}
