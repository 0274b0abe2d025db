//! Services in the kernel: which table packets use and how, and which addresses are VIPs.

use std::net::IpAddr;

use balancer_common::{Address, abi};

use super::{
    edge::EdgePlane,
    error::{DataplaneError, kernel},
    record,
};
use crate::{
    model::{HashPolicy, ServiceId, ServiceKey},
    reconcile::ServiceRecord,
    table::Table,
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
    /// Fills the table, then points the service's keys at it in one update each.
    pub(super) fn put_table(&mut self, id: ServiceId, table: &Table) -> Result<(), DataplaneError> {
        let filled = Filled {
            table: self.tables.fill(table)?,
            slots: table.slots(),
        };
        let before = self.filled.insert(id, filled);
        for (key, &live) in self.live.iter().filter(|(_, live)| live.id == id) {
            let key = record::service_key(key);
            let service = filled.of(live);
            self.services
                .insert(key, service, 0)
                .map_err(kernel("publish a table"))?;
            self.directory.put(&key, service)?;
        }
        match before {
            Some(before) => self.tables.release(before.table),
            None => Ok(()),
        }
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
        self.live.insert(key, record);
        self.put_vip(key.vip)?;
        self.directory.put(&packets_key, service)
    }

    pub(super) fn remove_service(&mut self, key: &ServiceKey) -> Result<(), DataplaneError> {
        self.live.remove(key);
        self.forget(&record::service_key(key))?;
        if self.live.keys().all(|live| live.vip != key.vip) {
            self.vips
                .remove(&Address::from(key.vip))
                .map_err(kernel("remove a VIP"))?;
        } else {
            self.put_vip(key.vip)?;
        }
        self.services
            .remove(&record::service_key(key))
            .map_err(kernel("remove a service"))
    }

    fn put_vip(&mut self, vip: IpAddr) -> Result<(), DataplaneError> {
        self.vips
            .insert(Address::from(vip), record::vip(&self.live, vip), 0)
            .map_err(kernel("publish a VIP"))
    }

    /// Takes a service out of the directory; what it leaves there is reused only after every packet that met it.
    pub(super) fn forget(&mut self, key: &abi::ServiceKey) -> Result<(), DataplaneError> {
        if self.directory.remove(key)? {
            self.tables.wait_for_packets()?;
            self.directory.clear(&key.vip)?;
        }
        Ok(())
    }
}
