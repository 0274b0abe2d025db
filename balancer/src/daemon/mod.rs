//! Puts rings together into `lbd edge`, `lbd guard` and `lbd agent`; nothing imports it but the binary.

pub mod agent;
mod announcer;
mod attachment;
pub mod edge;
mod failure;
pub mod guard;
mod keeper;
mod snapshot;

pub use failure::Failure;
