//! Puts rings together into `lbd edge` and `lbd agent`; nothing imports it but the binary.

pub mod agent;
mod attachment;
mod attendant;
pub mod edge;
mod failure;
mod keeper;
mod operations;
mod roster;
mod snapshot;

pub use failure::Failure;
