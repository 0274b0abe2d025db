//! From what an edge is to do to what its data plane holds.

mod announcement;
mod overlay;
mod plan;
mod warming;

#[cfg(test)]
mod tests;

pub use announcement::{EdgeConditions, Usable, WithheldReason, announcement};
pub use overlay::{backend_state, fails_open, overlay};
pub use plan::{BackendRecord, NextHop, NextHops, Plan, PlanChange, ServiceRecord, plan};
pub use warming::Warming;
