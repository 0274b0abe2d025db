//! Network namespaces: running code inside one, and giving a backend's one its VIPs.
//!
//! A namespace is named by a path: `/run/netns/NAME`, `/proc/PID/ns/net`, `/var/run/docker/netns/ID`.

mod enter;
mod error;
#[cfg(any(test, feature = "testing"))]
pub mod scratch;
mod sockets;
mod vip;

pub use enter::{Identity, block_on_netns, identity, on_netns};
pub use error::NetnsError;
pub use sockets::{addresses, count_sockets};
pub use vip::{add_vips, remove_vips};
