//! Puts the host's ports and the edge's together into `lbd edge`, `lbd guard` and `lbd agent`.

pub mod agent;
pub mod edge;
mod failure;
pub mod guard;

pub use failure::Failure;
