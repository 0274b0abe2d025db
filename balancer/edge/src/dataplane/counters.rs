//! Reading the edge's counters beside the task that owns its maps.

use std::sync::Arc;

use aya::maps::{Map, MapData, PerCpuArray};
use balancer_common::{Reason, abi::Traffic};
use balancer_core::model::BackendId;

use super::{
    edge::total,
    error::{DataplaneError, kernel},
    pins::PinDir,
};

/// What backends were sent and which reasons packets met, over all CPUs, from whatever thread.
#[derive(Clone)]
pub struct Counters(Arc<Rows>);

struct Rows {
    traffic: PerCpuArray<MapData, Traffic>,
    reasons: PerCpuArray<MapData, Traffic>,
}

impl Counters {
    /// Opens the pinned maps once more.
    pub(super) fn open(pins: &PinDir) -> Result<Self, DataplaneError> {
        let rows = |name| -> Result<PerCpuArray<MapData, Traffic>, DataplaneError> {
            let map = MapData::from_pin(pins.path(name)).map_err(kernel("open the counters"))?;
            PerCpuArray::try_from(Map::PerCpuArray(map)).map_err(kernel("open the counters"))
        };
        Ok(Self(Arc::new(Rows {
            traffic: rows("TRAFFIC")?,
            reasons: rows("REASONS")?,
        })))
    }

    /// What a backend has been sent.
    pub fn traffic(&self, id: BackendId) -> Result<Traffic, DataplaneError> {
        total(&self.0.traffic, u32::from(id.0))
    }

    /// How often each of the edge's reasons was met.
    pub fn reasons(&self) -> Result<Vec<(Reason, Traffic)>, DataplaneError> {
        let edge = Reason::ALL
            .iter()
            .filter(|&&reason| reason < Reason::Decapsulated);
        edge.map(|&reason| Ok((reason, total(&self.0.reasons, reason as u32)?)))
            .collect()
    }
}
