//! Workloads: what the operator declares in a workload file, checked.

mod label;
mod model;

pub use label::{City, Label};
pub use model::{Container, Port, Probe, ProbeKind, Target, Workload};
