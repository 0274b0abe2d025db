//! Health checks: asking each target, again and again, whether it answers. What the answers mean is decided elsewhere.

mod descriptors;
mod http;
mod probe;
mod prober;
mod schedule;
mod shortage;
mod target;
mod tcp;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use descriptors::raise_limit;
pub use prober::spawn;
pub use target::Target;

/// What one probe found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who was asked, and what.
    pub target: Arc<Target>,
    /// Passed, or in a few words why not: `connect: connection refused`, `http status 503`, `no answer within 500 ms`.
    pub outcome: Result<(), String>,
}
