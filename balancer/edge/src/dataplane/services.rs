//! Services in the kernel: which table packets use and how, and which addresses are VIPs.

use std::{net::IpAddr, sync::Arc};

use balancer_common::{Address, abi};
use balancer_core::{
    model::{HashPolicy, Protocol, ServiceId, ServiceKey},
    reconcile::ServiceRecord,
    table::Table,
};

use super::{
    edge::EdgePlane,
    error::{DataplaneError, kernel},
    record,
};

/// A table that is filled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filled {
    /// Its index in the map of tables.
    pub(super) table: u32,
    slots: usize,
}

impl Filled {
    fn of(self, record: ServiceRecord) -> abi::Service {
        abi::Service::new(self.table, self.slots, record.hash == HashPolicy::Source)
    }
}

impl EdgePlane {
    /// Fills tables, then points the services' keys at them in one update each. What they used before is given back.
    pub(super) fn put_tables(
        &mut self,
        tables: &[(ServiceId, &Arc<Table>)],
    ) -> Result<(), DataplaneError> {
        let indices = self
            .tables
            .fill(&Vec::from_iter(tables.iter().map(|(_, table)| *table)))?;
        let mut before = Vec::new();
        for (&(id, table), index) in tables.iter().zip(indices) {
            let filled = Filled {
                table: index,
                slots: table.slots(),
            };
            before.extend(self.filled.insert(id, filled).map(|before| before.table));
            for key in self.keys.get(&id).into_iter().flatten() {
                let Some(&live) = self.live.get(key) else {
                    continue;
                };
                let key = record::service_key(key);
                let service = filled.of(live);
                self.services
                    .insert(key, service, 0)
                    .map_err(kernel("publish a table"))?;
                self.directory.put(&key, service)?;
            }
        }
        self.tables.release(before, Vec::new())
    }

    /// Takes over a table that packets meet already, as the one of a service that is to be live with this record.
    pub(super) fn keep_table(&mut self, id: ServiceId, service: abi::Service, table: &Arc<Table>) {
        self.tables.keep(service.table, table);
        let filled = Filled {
            table: service.table,
            slots: service.slots(),
        };
        self.filled.insert(id, filled);
    }

    /// The service before its VIP: until the VIP is known, its packets pass rather than meet an undeclared port.
    pub(super) fn put_service(
        &mut self,
        key: ServiceKey,
        record: ServiceRecord,
    ) -> Result<(), DataplaneError> {
        let Some(&filled) = self.filled.get(&record.id) else {
            return Err(DataplaneError::Kernel {
                doing: "publish a service",
                message: format!("service {} has no table yet", record.id.0),
            });
        };
        let (packets_key, service) = (record::service_key(&key), filled.of(record));
        self.services
            .insert(packets_key, service, 0)
            .map_err(kernel("publish a service"))?;
        if let Some(before) = self.live.insert(key, record) {
            self.forget_key(before.id, &key);
        }
        self.keys.entry(record.id).or_default().insert(key);
        self.put_vip(key.vip)?;
        self.directory.put(&packets_key, service)
    }

    /// Gives whether the directory's line of the VIP is to be [cleared](EdgePlane::clear) once packets that met it are through.
    pub(super) fn remove_service(&mut self, key: &ServiceKey) -> Result<bool, DataplaneError> {
        if let Some(before) = self.live.remove(key) {
            self.forget_key(before.id, key);
        }
        let packets_key = record::service_key(key);
        let left = self.directory.remove(&packets_key)?;
        if self.live.range(of_vip(key.vip)).next().is_none() {
            self.vips
                .remove(&Address::from(key.vip))
                .map_err(kernel("remove a VIP"))?;
        } else {
            self.put_vip(key.vip)?;
        }
        self.services
            .remove(&packets_key)
            .map_err(kernel("remove a service"))?;
        Ok(left)
    }

    fn forget_key(&mut self, id: ServiceId, key: &ServiceKey) {
        if let Some(keys) = self.keys.get_mut(&id) {
            keys.remove(key);
            if keys.is_empty() {
                self.keys.remove(&id);
            }
        }
    }

    fn put_vip(&mut self, vip: IpAddr) -> Result<(), DataplaneError> {
        self.vips
            .insert(Address::from(vip), record::vip(&self.live, vip), 0)
            .map_err(kernel("publish a VIP"))
    }
}

/// Every key that a VIP's services can have.
fn of_vip(vip: IpAddr) -> std::ops::RangeInclusive<ServiceKey> {
    let key = |port, protocol| ServiceKey {
        vip,
        port,
        protocol,
    };
    key(0, Protocol::Tcp)..=key(u16::MAX, Protocol::Udp)
}
