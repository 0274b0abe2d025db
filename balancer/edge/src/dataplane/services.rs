//! Services in the kernel: which table packets use and how, and which addresses are VIPs.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use aya::maps::{HashMap, MapData};
use balancer_common::{Address, abi};

use super::{
    directory::Directory,
    error::{DataplaneError, kernel},
};
use crate::image::{Region, record};
use balancer_core::{
    model::{Protocol, ServiceId, ServiceKey},
    reconcile::ServiceRecord,
};

/// Where the tables are that are filled, by service.
pub(super) type FilledTables = BTreeMap<ServiceId, Region>;

/// The maps of services and VIPs, and what the daemon has in them.
pub(super) struct ServiceMaps {
    vips: HashMap<MapData, Address, abi::Vip>,
    services: HashMap<MapData, abi::ServiceKey, abi::Service>,
    /// Services that packets see.
    live: BTreeMap<ServiceKey, ServiceRecord>,
    /// Their keys, by the tables that they use.
    keys: BTreeMap<ServiceId, BTreeSet<ServiceKey>>,
}

impl ServiceMaps {
    pub(super) fn new(
        vips: HashMap<MapData, Address, abi::Vip>,
        services: HashMap<MapData, abi::ServiceKey, abi::Service>,
    ) -> Self {
        Self {
            vips,
            services,
            live: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }

    /// What packets that ask for this key use.
    pub(super) fn in_kernel(&self, key: &ServiceKey) -> Option<abi::Service> {
        self.services.get(&record::service_key(key), 0).ok()
    }

    /// Every service in the kernel.
    ///
    /// # Errors
    ///
    /// When the kernel does not let all of them be read.
    pub(super) fn all(&self) -> Result<Vec<(abi::ServiceKey, abi::Service)>, DataplaneError> {
        let all: Result<_, _> = self.services.iter().collect();
        all.map_err(kernel("read the services"))
    }

    /// Has packets that the directory sends elsewhere use the tables that the map of services names, which are whole: a writer may
    /// have ended between both. Gives these tables.
    pub(super) fn correct(
        &self,
        directory: &mut Directory,
    ) -> Result<BTreeSet<Region>, DataplaneError> {
        let mut named = BTreeSet::new();
        for (key, service) in self.all()? {
            directory.correct(&key, service);
            named.insert(Region::of(service));
        }
        Ok(named)
    }

    /// Has packets use the tables that these services have now: one word of each is changed.
    pub(super) fn switch(
        &mut self,
        tables: &[ServiceId],
        filled: &FilledTables,
        directory: &mut Directory,
    ) -> Result<(), DataplaneError> {
        for id in tables {
            let Some(&table) = filled.get(id) else {
                continue;
            };
            for key in self.keys.get(id).into_iter().flatten() {
                let packets_key = record::service_key(key);
                let service = record::service(self.live[key], table);
                self.services
                    .insert(packets_key, service, 0)
                    .map_err(kernel("publish a table"))?;
                directory.put(&packets_key, service);
            }
        }
        Ok(())
    }

    /// Has packets find these services. Each before its VIP: until the VIP is known, its packets pass rather than meet an
    /// undeclared port.
    pub(super) fn put(
        &mut self,
        services: &[(ServiceKey, ServiceRecord)],
        filled: &FilledTables,
        directory: &mut Directory,
    ) -> Result<(), DataplaneError> {
        let mut words = Vec::new();
        for &(key, record) in services {
            let Some(&table) = filled.get(&record.id) else {
                return Err(DataplaneError::Kernel {
                    doing: "publish a service",
                    message: format!("service {} has no table yet", record.id.0),
                });
            };
            let packets_key = record::service_key(&key);
            let service = record::service(record, table);
            if self.services.get(&packets_key, 0).ok() != Some(service) {
                self.services
                    .insert(packets_key, service, 0)
                    .map_err(kernel("publish a service"))?;
            }
            self.remember(key, record);
            words.push((packets_key, service));
        }
        self.put_vips(services.iter().map(|(key, _)| key.vip))?;
        for (key, service) in words {
            if !directory.has(&key, service) {
                directory.put(&key, service);
            }
        }
        Ok(())
    }

    /// Has packets find these services no more. Adds the lines of the directory to clear once no packet reads them.
    pub(super) fn remove(
        &mut self,
        services: &[ServiceKey],
        directory: &mut Directory,
        lines: &mut Vec<u32>,
    ) -> Result<(), DataplaneError> {
        for key in services {
            self.forget(key);
            lines.extend(directory.remove(&record::service_key(key)));
        }
        let vips: BTreeSet<IpAddr> = services.iter().map(|key| key.vip).collect();
        let (served, gone): (Vec<_>, Vec<_>) = vips
            .into_iter()
            .partition(|&vip| self.of_vip(vip).next().is_some());
        self.put_vips(served.into_iter())?;
        for vip in gone {
            self.vips
                .remove(&vip.into())
                .map_err(kernel("remove a VIP"))?;
        }
        for key in services {
            self.services
                .remove(&record::service_key(key))
                .map_err(kernel("remove a service"))?;
        }
        Ok(())
    }

    /// Begins anew: nothing is known to be in the maps.
    pub(super) fn clear(&mut self) {
        self.live.clear();
        self.keys.clear();
    }

    /// Removes what is in the maps and was not put since [`ServiceMaps::clear`]. Adds the lines of the directory to clear once no
    /// packet reads them.
    pub(super) fn remove_others(
        &mut self,
        directory: &mut Directory,
        lines: &mut Vec<u32>,
    ) -> Result<(), DataplaneError> {
        let mut vips = BTreeSet::<Address>::new();
        let mut live = BTreeSet::new();
        for key in self.live.keys() {
            live.insert(record::service_key(key));
            vips.insert(key.vip.into());
        }
        let keys = self.services.keys().flatten();
        let stale: Vec<_> = keys.filter(|key| !live.contains(key)).collect();
        for key in stale {
            lines.extend(directory.remove(&key));
            self.services
                .remove(&key)
                .map_err(kernel("remove a service"))?;
        }
        let keys = self.vips.keys().flatten();
        let stale: Vec<_> = keys.filter(|vip| !vips.contains(vip)).collect();
        for vip in stale {
            self.vips.remove(&vip).map_err(kernel("remove a VIP"))?;
        }
        Ok(())
    }

    /// Writes those of these VIPs that differ.
    fn put_vips(&mut self, vips: impl Iterator<Item = IpAddr>) -> Result<(), DataplaneError> {
        for vip in vips.collect::<BTreeSet<IpAddr>>() {
            let services: BTreeMap<_, _> = self.of_vip(vip).collect();
            let wanted = record::vip(&services, vip);
            if self.vips.get(&vip.into(), 0).ok() != Some(wanted) {
                self.vips
                    .insert(Address::from(vip), wanted, 0)
                    .map_err(kernel("publish a VIP"))?;
            }
        }
        Ok(())
    }

    /// The services of a VIP.
    fn of_vip(&self, vip: IpAddr) -> impl Iterator<Item = (ServiceKey, ServiceRecord)> {
        let first = ServiceKey {
            vip,
            port: 0,
            protocol: Protocol::Tcp,
        };
        let of = self.live.range(first..);
        of.take_while(move |(key, _)| key.vip == vip)
            .map(|(&key, &record)| (key, record))
    }

    fn remember(&mut self, key: ServiceKey, record: ServiceRecord) {
        self.forget(&key);
        self.live.insert(key, record);
        self.keys.entry(record.id).or_default().insert(key);
    }

    fn forget(&mut self, key: &ServiceKey) {
        if let Some(record) = self.live.remove(key)
            && let Some(keys) = self.keys.get_mut(&record.id)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.keys.remove(&record.id);
            }
        }
    }
}
