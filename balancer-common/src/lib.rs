//! The ABI between kernel and user space, and the pure packet logic that both sides and the tests compile.
//!
//! Byte order by type: byte arrays are wire order, integers are host order; [`Address`] says its own.
//! A frame's story on the edge is told in [`edge`], on a backend's side in [`agent`].

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
pub mod outer;
pub mod parse;
pub mod quoted;
pub mod reason;
#[cfg(test)]
mod sample;
pub mod shortlist;
pub mod tags;
pub mod too_large;
pub mod unusual;

pub use address::Address;
pub use frame::{Frame, FrameMut};
pub use reason::Reason;
