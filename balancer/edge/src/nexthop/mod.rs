//! Where packets for a backend go next: interface, MAC addresses, outer source and MTU, as the kernel's routes,
//! neighbours and links have it.
//!
//! Everything here speaks netlink in the network namespace of the calling thread.

mod egress;
mod error;
mod events;
mod follow;
mod grace;
mod interface;
mod kernel;
mod link;
mod memory;
mod neighbour;
mod offload;
mod route;
mod routes;
mod survey;
#[cfg(test)]
mod tests;

pub use balancer_core::reconcile::NextHop;
pub use error::NextHopError;
pub use follow::spawn;
pub use interface::{Interfaces, default_route_interfaces, interface};
pub use link::{AttachedMode, AttachedXdp, InterfaceView, Vlan};
pub use offload::taking_tags_off;
pub use survey::Sources;
