//! What is kept in a state file.

use serde::{Serialize, de::DeserializeOwned};

use crate::{site, state::LocalState};

/// A daemon's state.
pub trait Stored: Serialize + DeserializeOwned {
    /// The name of its file. One directory may hold several.
    const FILE: &str = "state";
    /// Where people look when the last change may be missing.
    const LOOK: &str;

    /// Which of its states this is, in a few words.
    fn name(&self) -> String;
}

impl Stored for LocalState {
    const FILE: &str = "edge";
    const LOOK: &str = "lbctl edge status";

    fn name(&self) -> String {
        format!("with the health of {} backends", self.health.len())
    }
}

impl Stored for site::Memory {
    const LOOK: &str = "lbctl workload status";

    fn name(&self) -> String {
        format!("with {} workloads", self.workloads.len())
    }
}
