//! What one edge knows for itself, and no other has to agree with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{BackendId, Health};

/// The edge's own part of what outlives its daemon, beside the desired state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalState {
    /// The digest of the configuration file's services that were applied last.
    pub config_digest: Option<String>,
    /// No VIP is announced to routers until the operator takes it back.
    pub drained: bool,
    /// The last known health of backends.
    pub health: BTreeMap<BackendId, Health>,
}
