//! Puts rings together into `lbd edge`, `lbd guard`, `lbd agent` and `lbd site`; nothing imports it but the binary.

pub mod agent;
pub mod edge;
mod failure;
pub mod guard;

pub use failure::Failure;
