//! Puts rings together into `lbd edge`, `lbd guard`, `lbd agent` and `lbd site`; nothing imports it but the binary.

pub mod agent;
mod announcer;
mod attachment;
pub mod edge;
mod failure;
pub mod guard;
mod keeper;
mod operations;
pub mod site;
mod snapshot;

pub use failure::Failure;
