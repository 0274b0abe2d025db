//! The edge's maps, and what is in them.

use std::{
    collections::BTreeSet,
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard},
};

use aya::Ebpf;
use balancer_common::{
    Address,
    abi::{Backend, MAX_CHUNKS, Service, ServiceKey, Vip},
};
use balancer_core::{
    model::BackendId,
    reconcile::{Plan, PlanChange},
    table::Table,
};

use super::{
    backends::Backends,
    directory::Directory,
    error::DataplaneError,
    object::{fd, map},
    reclaimer::{Freed, Reclaimer, SharedMemory, locked},
    services::ServiceMaps,
    tables::Tables,
};
use crate::image::{Difference, Image, Maps, NoRoom, Region, Regions};

/// What packets read, and an image of it.
pub(super) struct EdgeMaps {
    /// Dropped, and its thread joined, before the memory that it gives back.
    reclaimer: Reclaimer,
    memory: Arc<Mutex<SharedMemory>>,
    services: ServiceMaps,
    /// What is in the maps; `None` when a write has failed, until they are read again.
    image: Option<Image>,
}

impl EdgeMaps {
    /// Opens the maps of a loaded object, which an earlier daemon may have filled.
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, DataplaneError> {
        let memory = SharedMemory {
            regions: Regions::new(MAX_CHUNKS),
            tables: Tables::open(fd(ebpf, "TABLES")?, fd(ebpf, "HISTORIES")?)?,
            backends: Backends::open(fd(ebpf, "BACKENDS")?)?,
            directory: Directory::open(fd(ebpf, "DIRECTORY")?.as_fd())?,
        };
        let memory = Arc::new(Mutex::new(memory));
        let mut maps = Self {
            reclaimer: Reclaimer::start(Arc::clone(&memory))?,
            memory,
            services: ServiceMaps::new(map(ebpf, "VIPS")?, map(ebpf, "SERVICES")?),
            image: None,
        };
        maps.image = Some(maps.read()?);
        Ok(maps)
    }

    /// What packets meet of the services and backends that `plan` has.
    pub(super) fn previous_of(&self, plan: &Plan) -> Plan {
        let image = self.image.as_ref();
        image
            .map(|image| image.previous_of(plan))
            .unwrap_or_default()
    }

    /// Makes a change. When it returns, packets meet all of it. What they met before is used again after one grace period, for
    /// which nobody waits here.
    pub(super) fn publish(&mut self, change: &PlanChange) -> Result<(), DataplaneError> {
        let mut image = self.take_image()?;
        let difference = self.make_room(|regions| image.change(change, regions))?;
        let mut freed = Freed::default();
        let done = self.write(&difference, &mut freed);
        self.reclaimer.reclaim(freed);
        done.map(|()| self.image = Some(image))
    }

    /// Makes the maps equal to `plan`, and frees what an earlier daemon, or a write that failed, has left in them.
    pub(super) fn adopt(&mut self, plan: &Plan) -> Result<(), DataplaneError> {
        self.reclaimer.settle()?;
        let image = self.take_image()?;
        let mut freed = Freed::default();
        let done = self.make_equal(image, plan, &mut freed);
        self.reclaimer.reclaim(freed);
        done.map(|image| self.image = Some(image))
    }

    fn make_equal(
        &mut self,
        mut image: Image,
        plan: &Plan,
        freed: &mut Freed,
    ) -> Result<Image, DataplaneError> {
        let named = self.services.all()?;
        freed.regions = self.others(named.iter().map(|(_, service)| Region::of(*service)));
        let difference = self.make_room(|regions| image.become_plan(plan, regions))?;
        self.write(&difference, freed)?;
        let known = freed.regions.iter().copied();
        let left = self.others(known.chain(image.regions()));
        freed.regions.extend(left);

        let mut memory = locked(&self.memory);
        for (key, service) in image.services() {
            if !memory.directory.has(key, service) {
                memory.directory.put(key, service);
            }
        }
        freed.lines.extend(memory.directory.left());
        let full = memory.directory.needlessly_full(image.directory());
        if !full.is_empty() {
            memory.empty(full)?;
        }
        Ok(image)
    }

    /// Writes what differs; adds what nothing names any more.
    fn write(&mut self, difference: &Difference, freed: &mut Freed) -> Result<(), DataplaneError> {
        let mut memory = locked(&self.memory);
        if memory.backends.is_leaving(difference.backends()) {
            drop(memory);
            self.reclaimer.settle()?;
            memory = locked(&self.memory);
        }
        let services = &mut self.services;
        difference.apply(&mut Writer {
            memory,
            services,
            freed,
        })
    }

    /// Takes regions. If there is no room, some may be about to come free.
    fn make_room<T>(
        &self,
        mut take: impl FnMut(&mut Regions) -> Result<T, NoRoom>,
    ) -> Result<T, DataplaneError> {
        if let Ok(taken) = take(&mut locked(&self.memory).regions) {
            return Ok(taken);
        }
        self.reclaimer.settle()?;
        let taken = take(&mut locked(&self.memory).regions);
        taken.map_err(|NoRoom| DataplaneError::NoTableLeft(MAX_CHUNKS))
    }

    /// The regions that are taken beside these.
    fn others(&self, regions: impl Iterator<Item = Region>) -> Vec<Region> {
        let regions: BTreeSet<Region> = regions.collect();
        let memory = locked(&self.memory);
        let taken = memory.regions.taken();
        taken.filter(|region| !regions.contains(region)).collect()
    }

    /// What is in the maps. Whoever takes it puts back what it has made of them; nothing, when a write has failed.
    fn take_image(&mut self) -> Result<Image, DataplaneError> {
        match self.image.take() {
            Some(image) => Ok(image),
            None => self.read(),
        }
    }

    /// Reads the maps. Packets that the directory sends elsewhere use the tables that the map of services names from now on, which
    /// are whole: a writer may have ended between both.
    fn read(&self) -> Result<Image, DataplaneError> {
        let mut memory = locked(&self.memory);
        let memory = &mut *memory;
        (memory.tables.chunks()).for_each(|chunk| memory.regions.add_chunk(chunk));
        let mut tables = Vec::new();
        let services = self.services.all()?;
        for &(key, service) in &services {
            memory.directory.correct(&key, service);
            let region = Region::of(service);
            if memory.regions.is_taken(region) || memory.regions.claim(region) {
                let table = memory.tables.read(region, service.slots());
                tables.extend(table.map(|table| (region, table)));
            }
        }
        // One that is leaving has a record until packets are through, and is not there for whoever comes.
        let leaving = |id: &BackendId| memory.backends.is_leaving([*id].into_iter());
        let ids = memory.backends.ids().filter(|id| !leaving(id));
        let backends: Vec<_> = ids.map(|id| (id, memory.backends.get(id))).collect();
        let vips = self.services.vips()?;
        Ok(Image::found(vips, services, tables, backends))
    }
}

/// The maps while they are written.
struct Writer<'a> {
    memory: MutexGuard<'a, SharedMemory>,
    services: &'a mut ServiceMaps,
    freed: &'a mut Freed,
}

impl Maps for Writer<'_> {
    type Error = DataplaneError;

    fn put_backends(&mut self, records: &[(BackendId, Backend)]) -> Result<(), DataplaneError> {
        self.memory.backends.put(records)
    }

    fn fill_tables(&mut self, tables: &[(Region, Arc<Table>)]) -> Result<(), DataplaneError> {
        let filled = self.memory.tables.fill(tables);
        if filled.is_err() {
            // No packet can know them yet, and the next attempt needs as many.
            for (region, _) in tables {
                self.memory.regions.give_back(*region);
            }
        }
        filled
    }

    fn put_services(&mut self, services: &[(ServiceKey, Service)]) -> Result<(), DataplaneError> {
        self.services.put(services)
    }

    fn put_vips(&mut self, vips: &[(Address, Vip)]) -> Result<(), DataplaneError> {
        self.services.put_vips(vips)
    }

    fn tell_services(&mut self, services: &[(ServiceKey, Service)]) {
        for (key, service) in services {
            self.memory.directory.put(key, *service);
        }
    }

    fn untell_services(&mut self, services: &[ServiceKey]) {
        let lines = services
            .iter()
            .filter_map(|key| self.memory.directory.remove(key));
        self.freed.lines.extend(lines);
    }

    fn remove_vips(&mut self, vips: &[Address]) -> Result<(), DataplaneError> {
        self.services.remove_vips(vips)
    }

    fn remove_services(&mut self, services: &[ServiceKey]) -> Result<(), DataplaneError> {
        self.services.remove(services)
    }

    fn leave(&mut self, tables: &[Region], backends: &[BackendId]) {
        self.freed.regions.extend(tables);
        self.freed.backends.extend(backends);
        for &id in backends {
            self.memory.backends.leave(id);
        }
    }
}
