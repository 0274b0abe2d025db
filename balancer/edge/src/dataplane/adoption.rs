//! Making maps true whatever is in them: after a start, and after a write that failed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use balancer_common::{Address, abi};
use balancer_core::{model::BackendId, reconcile::Plan};

use super::{
    edge::EdgePlane,
    error::{DataplaneError, kernel},
    record,
};

impl EdgePlane {
    /// What packets meet now of the services and backends that `plan` has: what an earlier daemon published last.
    pub fn met(&self, plan: &Plan) -> Result<Plan, DataplaneError> {
        let mut met = Plan::default();
        for (key, record) in &plan.services {
            let Ok(service) = self.services.get(&record::service_key(key), 0) else {
                continue;
            };
            if let Some(table) = self.tables.read(service.table, service.slots())? {
                met.tables.insert(record.id, Arc::new(table));
            }
        }
        for (&id, backend) in &plan.backends {
            let record = self
                .backends
                .get(&u32::from(id.0), 0)
                .map_err(kernel("read a backend"))?;
            // Of another daemon's state, the id may have meant somebody else.
            if record.destination == Address::from(backend.address) {
                met.backends.insert(id, *backend);
            }
        }
        Ok(met)
    }

    /// Makes the maps equal to `plan`, whatever an earlier daemon left in them, and without a
    /// moment in which a service that is in both would be missing.
    pub fn adopt(&mut self, plan: &Plan) -> Result<(), DataplaneError> {
        self.tables.wait_for_released();
        // What packets see now, and what a write that failed half-way left unseen.
        let seen: BTreeMap<abi::ServiceKey, abi::Service> =
            self.services.iter().flatten().collect();
        let mut left = self.tables.filled();
        self.filled.clear();
        self.live.clear();
        self.keys.clear();
        for (&id, backend) in &plan.backends {
            self.put_backend(id, record::backend(backend))?;
        }
        for (key, record) in &plan.services {
            let Some(&service) = seen.get(&record::service_key(key)) else {
                continue;
            };
            let Some(table) = plan.tables.get(&record.id) else {
                continue;
            };
            let met = self.tables.read(service.table, service.slots())?;
            // Equal tables stay where packets meet them.
            if met.as_ref() == Some(table.as_ref()) && left.remove(&service.table) {
                self.keep_table(record.id, service, table);
            }
        }
        let tables: Vec<_> = (plan.tables.iter())
            .filter(|(id, _)| !self.filled.contains_key(id))
            .map(|(&id, table)| (id, table))
            .collect();
        self.put_tables(&tables)?;
        for (&key, &record) in &plan.services {
            self.put_service(key, record)?;
        }
        let planned: BTreeSet<_> = plan.services.keys().map(record::service_key).collect();
        let mut cleared = Vec::new();
        for key in seen.keys().filter(|key| !planned.contains(key)) {
            if self.directory.remove(key)? {
                cleared.push(key.vip);
            }
            self.services
                .remove(key)
                .map_err(kernel("remove a service"))?;
        }
        let vips: BTreeSet<Address> = plan.services.keys().map(|key| key.vip.into()).collect();
        let stale: Vec<_> = self
            .vips
            .keys()
            .flatten()
            .filter(|vip| !vips.contains(vip))
            .collect();
        for vip in stale {
            self.vips.remove(&vip).map_err(kernel("remove a VIP"))?;
        }
        let mut backends = Vec::new();
        for id in 1..abi::MAX_BACKENDS {
            let record = self
                .backends
                .get(&id, 0)
                .map_err(kernel("read a backend"))?;
            let id = BackendId(id as u16);
            if record.outer != 0 && !plan.backends.contains_key(&id) {
                backends.push(id);
            }
        }
        self.tables.release(left.into_iter().collect(), backends)?;
        self.clear(&cleared)?;
        self.empty_full_lines()
    }

    /// Writes the lines anew that more services filled than there are now. They stay marked full, so that no packet
    /// reads them, until they are whole.
    fn empty_full_lines(&mut self) -> Result<(), DataplaneError> {
        let services: Vec<_> = self.services.iter().flatten().collect();
        let lines = self.directory.needlessly_full(services)?;
        if lines.is_empty() {
            return Ok(());
        }
        self.tables.wait_for_packets()?;
        for &(at, line) in &lines {
            self.directory.write(at, line.full())?;
        }
        self.tables.wait_for_packets()?;
        for (at, line) in lines {
            self.directory.write(at, line)?;
        }
        Ok(())
    }
}
