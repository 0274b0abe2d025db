//! Whether a TCP connection is accepted.

use serde::{Deserialize, Serialize};

use super::{Broken, CheckSpec, KindOfCheck};

/// A connection is accepted, and that is all.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tcp {}

impl KindOfCheck for Tcp {
    fn take(_: &mut CheckSpec) -> Self {
        Self {}
    }

    fn put(&self, _: &mut CheckSpec) {}

    fn check_bounds(&self) -> Result<(), Broken> {
        Ok(())
    }

    fn path(&self) -> &str {
        ""
    }
}
