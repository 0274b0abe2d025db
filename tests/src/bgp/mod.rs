//! Real BGP speakers in network namespaces: BIRD for routers and edges, GoBGP for edges.

mod bird;
mod config;
mod gobgp;
mod programs;
mod routes;

pub use bird::Bird;
pub use config::{BirdConfig, Neighbour};
pub use gobgp::Gobgp;
pub use routes::{next_hops, wait_for_next_hops};
