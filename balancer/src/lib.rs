//! Balancer's user space: the daemon `lbd` and the operator's tool `lbctl`.
//!
//! Four rings; a ring imports only inward (`cargo xtask lint` checks it):
//! pure (`model`, `config`, `table`, `state`, `reconcile`, `workload`, `autoscale`, `site`), ports (`announce`, `health`, `journal`,
//! `nexthop`, `netns`, `runtime`, `state_dir`, `store`, `dataplane`), faces (`api`, `site_api`, `metrics`, `lbctl`), and `daemon`, which nothing imports.

pub mod announce;
pub mod daemon;
pub mod dataplane;
pub mod metrics;
pub mod nexthop;
