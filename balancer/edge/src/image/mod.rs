//! What the edge's maps hold for a plan, as values: records, services, slots, histories and lines of the directory.
//!
//! Nothing here touches the kernel. The data plane writes what this module says, and whoever wants to know what packets meet asks an
//! [`Image`] by the same words as the kernel programs: it is their [`Tables`].

pub(crate) mod record;
mod regions;
pub(crate) mod words;

use std::{collections::BTreeMap, sync::Arc};

use balancer_common::{
    Address,
    abi::{Backend, HistoryRow, MAX_CHUNKS, Service, ServiceKey, Slot, Vip},
    directory::{Line, line_of},
    edge::Tables,
};
use balancer_core::{reconcile::Plan, table::Table};

pub(crate) use regions::{Region, Regions, lines};

/// The contents of an edge's maps.
#[derive(Clone, Debug, Default)]
pub struct Image {
    vips: BTreeMap<Address, Vip>,
    services: BTreeMap<ServiceKey, Service>,
    /// By their first lines.
    tables: BTreeMap<u32, Arc<Table>>,
    backends: BTreeMap<u16, Backend>,
}

impl Image {
    /// What new maps hold once a plan is published: its tables lie one behind the other.
    ///
    /// # Panics
    ///
    /// When a service has no table, or when there are more tables than chunks.
    pub fn of(plan: &Plan) -> Self {
        let mut regions = Regions::new(MAX_CHUNKS);
        let mut image = Self::default();
        let mut places = BTreeMap::new();
        for (&id, table) in &plan.tables {
            let region = regions
                .take(lines(table.slots()))
                .expect("a plan has no more tables than there are chunks");
            image.tables.insert(region.first, Arc::clone(table));
            places.insert(id, region);
        }
        for (key, service) in &plan.services {
            let word = record::service(*service, places[&service.id]);
            image.services.insert(record::service_key(key), word);
            let vip = record::vip(&plan.services, key.vip);
            image.vips.insert(key.vip.into(), vip);
        }
        let backends = plan.backends.iter();
        image.backends = backends
            .map(|(id, backend)| (id.0, record::backend(backend)))
            .collect();
        image
    }

    /// The services by what packets ask for.
    pub fn services(&self) -> impl Iterator<Item = (&ServiceKey, Service)> {
        self.services.iter().map(|(key, &service)| (key, service))
    }

    /// The ids that have a record.
    pub fn ids(&self) -> impl Iterator<Item = u16> {
        self.backends.keys().copied()
    }

    /// The table that begins with a line.
    pub fn table(&self, first: u32) -> Option<&Table> {
        self.tables.get(&first).map(AsRef::as_ref)
    }

    /// What of a VIP's protocols goes by source alone.
    pub fn vip(&self, address: &Address) -> Option<Vip> {
        self.vips.get(address).copied()
    }

    /// The lines of the directory that are not empty, by their index.
    pub fn directory(&self) -> BTreeMap<u32, Line> {
        directory(self.services())
    }
}

/// The lines of a directory of these services that are not empty, by their index.
pub(crate) fn directory<'a>(
    services: impl IntoIterator<Item = (&'a ServiceKey, Service)>,
) -> BTreeMap<u32, Line> {
    let mut directory = BTreeMap::new();
    for (key, service) in services {
        let line = directory.entry(line_of(&key.vip)).or_insert(Line::EMPTY);
        if let Some(last) = line.with(key, service).pop() {
            *line = last;
        }
    }
    directory
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
        self.backends.get(&id).or(Some(&Backend::EMPTY))
    }

    fn history(&self, table: u32, slot: u32) -> Option<HistoryRow> {
        words::history(self.table(table)?, slot as usize)
    }
}

#[cfg(test)]
mod tests;
