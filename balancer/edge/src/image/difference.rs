//! From one image of the maps to another: what is written, in which order.

use std::{collections::BTreeMap, sync::Arc};

use balancer_common::{
    Address,
    abi::{Backend, Service, ServiceKey, Vip},
};
use balancer_core::{model::BackendId, table::Table};

use super::{Image, Region};

/// What differs between two images.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Difference {
    backends: Vec<(BackendId, Backend)>,
    tables: Vec<(Region, Arc<Table>)>,
    services: Vec<(ServiceKey, Service)>,
    vips: Vec<(Address, Vip)>,
    gone_vips: Vec<Address>,
    gone_services: Vec<ServiceKey>,
    gone_tables: Vec<Region>,
    gone_backends: Vec<BackendId>,
}

/// The maps, as a difference is written into them. Packets read them meanwhile.
pub(crate) trait Maps {
    /// Why a write was refused.
    type Error;

    /// Writes records of backends.
    fn put_backends(&mut self, records: &[(BackendId, Backend)]) -> Result<(), Self::Error>;
    /// Fills regions that no packet reads.
    fn fill_tables(&mut self, tables: &[(Region, Arc<Table>)]) -> Result<(), Self::Error>;
    /// Writes services into the map that is asked for those that the directory does not tell.
    fn put_services(&mut self, services: &[(ServiceKey, Service)]) -> Result<(), Self::Error>;
    /// Writes VIPs' records.
    fn put_vips(&mut self, vips: &[(Address, Vip)]) -> Result<(), Self::Error>;
    /// Has the directory tell services.
    fn tell_services(&mut self, services: &[(ServiceKey, Service)]);
    /// Has the directory tell services no more.
    fn untell_services(&mut self, services: &[ServiceKey]);
    /// Removes VIPs' records.
    fn remove_vips(&mut self, vips: &[Address]) -> Result<(), Self::Error>;
    /// Removes services from the map.
    fn remove_services(&mut self, services: &[ServiceKey]) -> Result<(), Self::Error>;
    /// Nothing names these any more; packets that are under way may still read them.
    fn leave(&mut self, tables: &[Region], backends: &[BackendId]);
}

impl Difference {
    /// The writes that make `before` into `after`.
    pub(crate) fn between(before: &Image, after: &Image) -> Self {
        Self {
            backends: changed(&before.backends, &after.backends),
            tables: changed(&before.tables, &after.tables),
            services: changed(&before.services, &after.services),
            vips: changed(&before.vips, &after.vips),
            gone_vips: gone(&before.vips, &after.vips),
            gone_services: gone(&before.services, &after.services),
            gone_tables: gone(&before.tables, &after.tables),
            gone_backends: gone(&before.backends, &after.backends),
        }
    }

    /// Makes the maps so, in an order in which packets never find a service without its table, or a table without a backend that it
    /// names. A VIP is known after its services: until then its packets pass, rather than meet an undeclared port.
    ///
    /// # Errors
    ///
    /// When a write is refused: those before it are done.
    pub(crate) fn apply<M: Maps>(&self, maps: &mut M) -> Result<(), M::Error> {
        maps.put_backends(&self.backends)?;
        maps.fill_tables(&self.tables)?;
        maps.put_services(&self.services)?;
        maps.put_vips(&self.vips)?;
        maps.tell_services(&self.services);
        maps.untell_services(&self.gone_services);
        maps.remove_vips(&self.gone_vips)?;
        maps.remove_services(&self.gone_services)?;
        maps.leave(&self.gone_tables, &self.gone_backends);
        Ok(())
    }

    /// The backends whose records are written.
    pub(crate) fn backends(&self) -> impl Iterator<Item = BackendId> {
        self.backends.iter().map(|(id, _)| *id)
    }
}

/// The entries that are new or different in `after`.
fn changed<K: Ord + Copy, V: PartialEq + Clone>(
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
) -> Vec<(K, V)> {
    let new = |(key, value): &(&K, &V)| before.get(key) != Some(*value);
    let changed = after.iter().filter(new);
    changed.map(|(&key, value)| (key, value.clone())).collect()
}

/// The keys that are not in `after`.
fn gone<K: Ord + Copy, V>(before: &BTreeMap<K, V>, after: &BTreeMap<K, V>) -> Vec<K> {
    let keys = before.keys().copied();
    keys.filter(|key| !after.contains_key(key)).collect()
}

#[cfg(test)]
mod tests;
