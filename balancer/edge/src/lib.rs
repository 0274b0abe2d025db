//! The edge and the agent: the data plane, what follows the kernel's routes and tells routers of VIPs, what Prometheus scrapes, and
//! `lbd edge`, `lbd agent` and `lbd guard`, which put them together.

pub mod announce;
pub mod daemon;
pub mod dataplane;
pub mod image;
pub mod metrics;
pub mod nexthop;
