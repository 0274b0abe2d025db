//! From what an edge is to do to what its data plane holds, and the steps from one to the other.

mod announcement;
mod overlay;
mod plan;
mod steps;
mod warming;

#[cfg(test)]
mod tests;

pub use announcement::{EdgeConditions, Usable, WithheldReason, announcement};
pub use overlay::{backend_state, fails_open, overlay};
pub use plan::{BackendRecord, NextHop, NextHops, Plan, ServiceRecord, only_by_source, plan};
pub use steps::{Step, steps};
pub use warming::Warming;
