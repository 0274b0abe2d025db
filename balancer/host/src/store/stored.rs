//! What is kept in a state file.

use serde::{Serialize, de::DeserializeOwned};

/// A daemon's state.
pub trait Stored: Serialize + DeserializeOwned {
    /// The name of its file. One directory may hold several.
    const FILE: &str = "state";
    /// Where people look when the last change may be missing.
    const LOOK: &str;

    /// Which of its states this is, in a few words.
    fn name(&self) -> String;
}
