//! What the maps hold of the desired state.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use balancer_common::abi::Traffic;
use balancer_core::{
    model::{ServiceId, ServiceName},
    reconcile::{self, NextHops, Plan},
    state::{ServiceState, State},
    table::Table,
};
use tracing::warn;

use super::{
    monitor::Monitor,
    rows::{Past, Rows},
};
use crate::dataplane::{DataplaneError, EdgePlane};

/// The plan that is in the maps.
#[derive(Default)]
pub(super) struct Publication {
    /// What packets meet; what they may have met, while a write has failed.
    plan: Plan,
    /// The services that the plan is of.
    services: BTreeMap<ServiceName, Arc<ServiceState>>,
    /// Whether the maps are known to hold the plan: otherwise they must be adopted anew.
    in_maps: bool,
    rows: Rows,
}

impl Publication {
    /// Takes over the memory of what an earlier daemon published, before the first publication.
    pub(super) fn take_over(
        &mut self,
        plane: &EdgePlane,
        state: &State,
        monitor: &Monitor,
        next_hops: &NextHops,
    ) {
        let trusted = |id| monitor.trusted(id);
        match plane.previous(&reconcile::plan(state, &trusted, next_hops)) {
            Ok(previous) => self.plan = previous,
            Err(error) => warn!("connections on substitutes may break, for {error}"),
        }
        for service in state.services.values() {
            let ids = service.ids.values();
            for &id in ids.filter(|id| self.plan.backends.contains_key(id)) {
                self.rows.begin(id, Traffic::default());
            }
        }
    }

    /// Plans these services anew and writes what differs: one publication, whatever their number. The maps are written whole if
    /// the write before has failed.
    pub(super) fn publish(
        &mut self,
        plane: &mut EdgePlane,
        touched: &BTreeSet<ServiceName>,
        state: &State,
        monitor: &Monitor,
        next_hops: &NextHops,
    ) -> Result<(), DataplaneError> {
        for name in touched {
            if let Some(service) = state.services.get(name)
                && let Err(error) = self.begin_rows(plane, service)
            {
                // Or nobody would try again.
                self.in_maps = false;
                return Err(error);
            }
        }
        let pairs = touched.iter().map(|name| {
            let before = self.services.get(name).map(Arc::as_ref);
            (before, state.services.get(name).map(Arc::as_ref))
        });
        let trusted = |id| monitor.trusted(id);
        let change = self.plan.update(pairs, &trusted, next_hops);
        let result = match self.in_maps {
            true => plane.publish(&change),
            false => plane.adopt(&self.plan),
        };
        for name in touched {
            let before = match state.services.get(name) {
                Some(service) => self.services.insert(name.clone(), Arc::clone(service)),
                None => self.services.remove(name),
            };
            self.end_rows(name, before.as_deref(), state.services.get(name));
        }
        self.in_maps = result.is_ok();
        result
    }

    /// Whether the maps are known to hold the newest plan.
    pub(super) fn is_in_maps(&self) -> bool {
        self.in_maps
    }

    /// The table of a service that packets meet; `None` while that is not known.
    pub(super) fn table(&self, id: ServiceId) -> Option<&Arc<Table>> {
        let table = self.plan.tables.get(&id);
        table.filter(|_| self.in_maps)
    }

    /// The VIPs that packets are balanced for; `None` while that is not known.
    pub(super) fn vips(&self) -> Option<BTreeSet<IpAddr>> {
        let vips = self.plan.services.keys().map(|key| key.vip);
        self.in_maps.then(|| vips.collect())
    }

    /// What backends of a service that are gone were sent.
    pub(super) fn past(&self, name: &ServiceName) -> Past {
        self.rows.past(name)
    }

    /// Clears the rows of backends that are new: they begin at zero.
    fn begin_rows(
        &mut self,
        plane: &mut EdgePlane,
        service: &ServiceState,
    ) -> Result<(), DataplaneError> {
        for &id in service.ids.values() {
            if !self.rows.is_live(id) {
                self.rows.begin(id, plane.clear_traffic(id)?);
            }
        }
        Ok(())
    }

    /// Lets go of the rows of backends that are gone.
    fn end_rows(
        &mut self,
        name: &ServiceName,
        before: Option<&ServiceState>,
        after: Option<&Arc<ServiceState>>,
    ) {
        let before = before.into_iter().flat_map(|before| &before.ids);
        for (address, &id) in before {
            let stays = after.is_some_and(|after| after.ids.get(address) == Some(&id));
            if !stays {
                self.rows.end(id, name);
            }
        }
        if after.is_none() {
            self.rows.forget(name);
        }
    }
}
