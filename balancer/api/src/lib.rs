//! The control interfaces of `lbd`: HTTP/1.1 with JSON bodies. On a unix socket of an edge here, and of a site in [`site_api`].
//!
//! [`views`] is what it shows, [`requests`] what it takes, [`replies`] the frame around both;
//! [`server`] and [`client`] are its two ends.

pub mod agent;
pub mod client;
pub mod command;
pub mod drain_status;
pub mod event;
pub mod limited_listener;
pub mod replies;
pub mod requests;
pub mod server;
pub mod site_api;
pub mod socket;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod token;
pub mod views;

#[cfg(test)]
mod tests;

/// The largest body of a request, in bytes: 4,096 services with 32,767 backends fit several times.
pub const BODY_LIMIT_BYTES: usize = 16 << 20;

/// Where `lbd` listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/balancer/lbd.sock";
