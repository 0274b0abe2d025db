//! Services in the kernel: which table packets use and how, and which addresses are VIPs.

use aya::maps::{HashMap, MapData};
use balancer_common::{
    Address,
    abi::{Service, ServiceKey, Vip},
};

use super::error::{DataplaneError, kernel};

/// The maps of services and VIPs.
pub(super) struct ServiceMaps {
    vips: HashMap<MapData, Address, Vip>,
    services: HashMap<MapData, ServiceKey, Service>,
}

impl ServiceMaps {
    pub(super) fn new(
        vips: HashMap<MapData, Address, Vip>,
        services: HashMap<MapData, ServiceKey, Service>,
    ) -> Self {
        Self { vips, services }
    }

    /// Every service in the kernel.
    ///
    /// # Errors
    ///
    /// When the kernel does not let all of them be read.
    pub(super) fn all(&self) -> Result<Vec<(ServiceKey, Service)>, DataplaneError> {
        let all: Result<_, _> = self.services.iter().collect();
        all.map_err(kernel("read the services"))
    }

    /// Every VIP in the kernel.
    ///
    /// # Errors
    ///
    /// When the kernel does not let all of them be read.
    pub(super) fn vips(&self) -> Result<Vec<(Address, Vip)>, DataplaneError> {
        let all: Result<_, _> = self.vips.iter().collect();
        all.map_err(kernel("read the VIPs"))
    }

    /// Writes services: one word of each that is there already.
    pub(super) fn put(&mut self, services: &[(ServiceKey, Service)]) -> Result<(), DataplaneError> {
        for (key, service) in services {
            (self.services.insert(key, service, 0)).map_err(kernel("publish a service"))?;
        }
        Ok(())
    }

    /// Writes VIPs' records.
    pub(super) fn put_vips(&mut self, vips: &[(Address, Vip)]) -> Result<(), DataplaneError> {
        for (vip, record) in vips {
            (self.vips.insert(vip, record, 0)).map_err(kernel("publish a VIP"))?;
        }
        Ok(())
    }

    /// Removes services.
    pub(super) fn remove(&mut self, services: &[ServiceKey]) -> Result<(), DataplaneError> {
        for key in services {
            (self.services.remove(key)).map_err(kernel("remove a service"))?;
        }
        Ok(())
    }

    /// Removes VIPs' records.
    pub(super) fn remove_vips(&mut self, vips: &[Address]) -> Result<(), DataplaneError> {
        for vip in vips {
            (self.vips.remove(vip)).map_err(kernel("remove a VIP"))?;
        }
        Ok(())
    }
}
