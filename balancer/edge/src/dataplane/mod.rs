//! The kernel side: programs, maps and links, pinned so that traffic outlives the daemon.
//!
//! The only module that knows aya, and the only one that opens a map.

mod agent;
mod attachment;
mod backends;
mod chunks;
mod classifier;
mod counters;
mod directory;
mod edge;
mod error;
mod former;
mod ids;
mod interface;
mod layouts;
mod maps;
mod object;
mod pins;
mod program;
mod programs;
mod reclaimer;
mod release;
mod request_sock;
mod services;
mod sys;
mod tables;

pub use agent::{AgentPlane, AgentSettings};
pub use attachment::{Attached, Present};
pub use counters::Counters;
pub use edge::{EdgePlane, EdgeSettings, PacketLog};
pub use error::DataplaneError;
pub use ids::map_ids;
pub use interface::Interface;
pub use object::{AGENT_OBJECT, EDGE_OBJECT};
pub use pins::PinDir;
pub use program::EdgeProgram;
pub use release::check_kernel;
