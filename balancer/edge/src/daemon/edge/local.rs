//! What one edge knows for itself, and no other has to agree with.

use std::collections::BTreeMap;

use balancer_core::{
    model::{BackendId, Health},
    state::FormerState,
};
use serde::{Deserialize, Serialize};

use balancer_host::store::Stored;

/// The edge's own part of what outlives its daemon, beside the desired state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LocalState {
    /// The digest of the configuration file's services that were applied last.
    pub(super) config_digest: Option<String>,
    /// No VIP is announced to routers until the operator takes it back.
    pub(super) drained: bool,
    /// The last known health of backends.
    pub(super) health: BTreeMap<BackendId, Health>,
}

impl LocalState {
    /// The edge's own part of a state file of versions before the journal.
    pub(super) fn of_former(former: &mut FormerState) -> Self {
        Self {
            config_digest: former.config_digest.take(),
            drained: former.drained,
            health: std::mem::take(&mut former.health),
        }
    }
}

impl Stored for LocalState {
    const FILE: &str = "edge";
    const LOOK: &str = "lbctl edge status";

    fn name(&self) -> String {
        format!("with the health of {} backends", self.health.len())
    }
}
