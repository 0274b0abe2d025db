//! Puts rings together into `lbd edge`, `lbd guard`, `lbd agent` and `lbd site`; nothing imports it but the binary.

pub mod agent;
mod clock;
pub mod edge;
pub mod exit_code;
mod failure;
pub mod guard;
mod signals;
pub mod site;

pub use failure::Failure;
