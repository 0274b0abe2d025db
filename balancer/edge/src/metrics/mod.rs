//! What Prometheus scrapes: the snapshot in its classic text format.

pub mod agent;
mod exposition;
mod families;
mod server;

#[cfg(test)]
mod tests;

pub use families::render;
pub use server::{bind, serve};
