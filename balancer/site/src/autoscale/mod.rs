//! How many instances a load needs: the algorithm of Kubernetes' Horizontal Pod Autoscaler, as its documentation
//! describes it (<https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/>).
//!
//! [`demand`] is the formula; [`Autoscaler`] remembers what it said before and holds back by it.

mod demand;
mod memory;

#[cfg(test)]
mod tests;

pub use demand::{Demand, Sample, Usage, demand};
pub use memory::{Autoscaler, Decision, Policy};
