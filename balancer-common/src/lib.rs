//! The ABI between kernel and user space, and the pure packet logic, which both sides and the tests compile.
//!
//! Byte order by type: byte arrays are in wire order, integers in host order; [`Address`] documents its own.
//! The edge's decisions start in [`edge`], the agent's in [`agent`].

#![cfg_attr(not(test), no_std)]

#[cfg(not(target_endian = "little"))]
compile_error!(
    "the flow hash reads packet words in little-endian order; a big-endian edge would disagree"
);

#[cfg(feature = "user")]
extern crate alloc;

pub mod abi;
pub mod address;
pub mod agent;
pub mod alternates;
pub mod bench;
pub mod checksum;
pub mod clamp;
pub mod directory;
pub mod echo;
pub mod edge;
pub mod extensions;
pub mod flow;
pub mod fragments;
pub mod frame;
pub mod gue;
pub mod icmp_error;
pub mod inline_prefixes;
pub mod outer;
pub mod parse;
pub mod reason;
#[cfg(test)]
mod sample;
pub mod slow_path;
pub mod tags;
pub mod too_large;

pub use address::Address;
pub use frame::{Frame, FrameMut};
pub use reason::Reason;
