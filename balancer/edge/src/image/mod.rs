//! What the edge's maps hold for a plan, as values: records, services, slots, histories and lines of the directory.
//!
//! Nothing here touches the kernel. The data plane makes the maps what an [`Image`] says, by the difference from the image that they
//! are; and whoever wants to know what packets meet asks an image by the same words as the kernel programs: it is their [`Tables`].

mod difference;
pub(crate) mod record;
mod regions;
pub(crate) mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use balancer_common::{
    Address,
    abi::{Backend, HistoryRow, MAX_CHUNKS, Service, ServiceKey, Slot, Vip},
    directory::{Line, line_of},
    edge::Tables,
};
use balancer_core::{
    model::{BackendId, ServiceId},
    reconcile::{Plan, PlanChange},
    table::Table,
};

pub(crate) use difference::{Difference, Maps};
pub(crate) use regions::{Region, Regions, lines};

/// The contents of an edge's maps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    vips: BTreeMap<Address, Vip>,
    services: BTreeMap<ServiceKey, Service>,
    tables: BTreeMap<Region, Arc<Table>>,
    backends: BTreeMap<BackendId, Backend>,
}

/// There are as many chunks as there may be, and none has room for a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

impl Image {
    /// What new maps hold once a plan is published: its tables lie one behind the other.
    ///
    /// # Panics
    ///
    /// When a service has no table, or when there are more tables than chunks.
    pub fn of(plan: &Plan) -> Self {
        let mut image = Self::default();
        image
            .become_plan(plan, &mut Regions::new(MAX_CHUNKS))
            .expect("a plan has no more tables than there are chunks");
        image
    }

    /// What is found in maps.
    pub(crate) fn found(
        vips: impl IntoIterator<Item = (Address, Vip)>,
        services: impl IntoIterator<Item = (ServiceKey, Service)>,
        tables: impl IntoIterator<Item = (Region, Table)>,
        backends: impl IntoIterator<Item = (BackendId, Backend)>,
    ) -> Self {
        let tables = tables.into_iter();
        Self {
            vips: vips.into_iter().collect(),
            services: services.into_iter().collect(),
            tables: tables.map(|(at, table)| (at, table.into())).collect(),
            backends: backends.into_iter().collect(),
        }
    }

    /// Makes the image that of `plan`, and gives what differs. Tables that are equal stay where they are; the others are given
    /// regions of `regions`, which knows those of this image as taken.
    ///
    /// # Errors
    ///
    /// When there is no room. Nothing has changed then.
    ///
    /// # Panics
    ///
    /// When a service has no table.
    pub(crate) fn become_plan(
        &mut self,
        plan: &Plan,
        regions: &mut Regions,
    ) -> Result<Difference, NoRoom> {
        let places = self.places(plan);
        let part = std::mem::take(self);
        self.replace(part, &places, plan, regions)
    }

    /// The same where only some services change.
    pub(crate) fn change(
        &mut self,
        change: &PlanChange,
        regions: &mut Regions,
    ) -> Result<Difference, NoRoom> {
        let places = self.places(&change.before);
        let part = self.take_part(&change.before, &places);
        self.replace(part, &places, &change.after, regions)
    }

    /// Puts what `plan` says in the place of a part that was taken out.
    fn replace(
        &mut self,
        mut part: Self,
        places: &BTreeMap<ServiceId, Region>,
        plan: &Plan,
        regions: &mut Regions,
    ) -> Result<Difference, NoRoom> {
        let mut next = match part.planned(plan, places, regions) {
            Ok(next) => next,
            Err(no_room) => {
                self.extend(part);
                return Err(no_room);
            }
        };
        let keys = part.services.keys().chain(next.services.keys());
        let vips: BTreeSet<Address> = keys.map(|key| key.vip).collect();
        for vip in &vips {
            part.vips.extend(self.vips.remove_entry(vip));
        }
        self.extend(next.clone());
        for vip in vips {
            let services: Vec<_> = self.services_of(vip).collect();
            if !services.is_empty() {
                next.vips.insert(vip, record::vip(&services));
            }
        }
        self.vips.extend(&next.vips);
        Ok(Difference::between(&part, &next))
    }

    /// The image of a plan, but for its VIPs, whose tables lie where an equal one of this image does, or anew.
    fn planned(
        &self,
        plan: &Plan,
        places: &BTreeMap<ServiceId, Region>,
        regions: &mut Regions,
    ) -> Result<Self, NoRoom> {
        let mut next = Self::default();
        let (mut placed, mut taken) = (BTreeMap::new(), Vec::new());
        for (id, table) in &plan.tables {
            // A writer that was killed may have left two services with one region.
            let equal = places.get(id).copied();
            let equal = equal
                .filter(|at| self.tables.get(at) == Some(table) && !next.tables.contains_key(at));
            let Some(region) = equal.or_else(|| {
                let region = regions.take(lines(table.slots()))?;
                taken.push(region);
                Some(region)
            }) else {
                taken
                    .into_iter()
                    .for_each(|region| regions.give_back(region));
                return Err(NoRoom);
            };
            next.tables.insert(region, Arc::clone(table));
            placed.insert(id, region);
        }
        for (key, service) in &plan.services {
            let word = record::service(*service, placed[&service.id]);
            next.services.insert(record::service_key(key), word);
        }
        let backends = plan.backends.iter();
        next.backends = backends
            .map(|(&id, backend)| (id, record::backend(backend)))
            .collect();
        Ok(next)
    }

    /// Where the tables of a plan's services are.
    fn places(&self, plan: &Plan) -> BTreeMap<ServiceId, Region> {
        let services = plan.services.iter();
        services
            .filter_map(|(key, record)| {
                let service = self.services.get(&record::service_key(key))?;
                Some((record.id, Region::of(*service)))
            })
            .collect()
    }

    /// Takes out what the image has of a plan's services, tables and backends.
    fn take_part(&mut self, plan: &Plan, places: &BTreeMap<ServiceId, Region>) -> Self {
        let mut part = Self::default();
        for key in plan.services.keys().map(record::service_key) {
            part.services.extend(self.services.remove_entry(&key));
        }
        for id in plan.tables.keys().filter_map(|id| places.get(id)) {
            part.tables.extend(self.tables.remove_entry(id));
        }
        for id in plan.backends.keys() {
            part.backends.extend(self.backends.remove_entry(id));
        }
        part
    }

    fn extend(&mut self, part: Self) {
        self.vips.extend(part.vips);
        self.services.extend(part.services);
        self.tables.extend(part.tables);
        self.backends.extend(part.backends);
    }

    /// What packets have met of the services and backends that `plan` has.
    pub(crate) fn previous_of(&self, plan: &Plan) -> Plan {
        let mut met = Plan::default();
        for (id, region) in self.places(plan) {
            if let Some(table) = self.tables.get(&region) {
                met.tables.insert(id, Arc::clone(table));
            }
        }
        for (&id, backend) in &plan.backends {
            let record = self.backends.get(&id);
            // Of another daemon's state, the id may have meant somebody else.
            if record.is_some_and(|of| of.destination == Address::from(backend.address)) {
                met.backends.insert(id, *backend);
            }
        }
        met
    }

    /// The services by what packets ask for.
    pub fn services(&self) -> impl Iterator<Item = (&ServiceKey, Service)> {
        self.services.iter().map(|(key, &service)| (key, service))
    }

    fn services_of(&self, vip: Address) -> impl Iterator<Item = (ServiceKey, Service)> {
        let key = |port_and_protocol| ServiceKey {
            vip,
            port_and_protocol,
        };
        let of = self.services.range(key(0)..=key(u64::MAX));
        of.map(|(&key, &service)| (key, service))
    }

    /// The ids that have a record.
    pub fn ids(&self) -> impl Iterator<Item = u16> {
        self.backends.keys().map(|id| id.0)
    }

    /// The table that begins with a line.
    pub fn table(&self, first: u32) -> Option<&Table> {
        let from = Region { first, lines: 0 };
        let (region, table) = self.tables.range(from..).next()?;
        (region.first == first).then_some(table)
    }

    /// Where tables are.
    pub(crate) fn regions(&self) -> impl Iterator<Item = Region> {
        self.tables.keys().copied()
    }

    /// What of a VIP's protocols goes by source alone.
    pub fn vip(&self, address: &Address) -> Option<Vip> {
        self.vips.get(address).copied()
    }

    /// The lines of the directory that are not empty, by their index.
    pub fn directory(&self) -> BTreeMap<u32, Line> {
        let mut directory = BTreeMap::new();
        for (key, service) in self.services() {
            let line = directory.entry(line_of(&key.vip)).or_insert(Line::EMPTY);
            if let Some(last) = line.with(key, service).pop() {
                *line = last;
            }
        }
        directory
    }
}

impl Tables for Image {
    fn is_vip(&self, address: &Address) -> bool {
        self.vips.contains_key(address)
    }

    fn service(&self, key: &ServiceKey) -> Option<Service> {
        self.services.get(key).copied()
    }

    fn slot(&self, table: u32, slot: u32) -> Option<Slot> {
        words::slot(self.table(table)?, slot as usize)
    }

    fn backend(&self, id: u16) -> Option<&Backend> {
        self.backends.get(&BackendId(id)).or(Some(&Backend::EMPTY))
    }

    fn history(&self, table: u32, slot: u32) -> Option<HistoryRow> {
        words::history(self.table(table)?, slot as usize)
    }
}

#[cfg(test)]
mod tests;
