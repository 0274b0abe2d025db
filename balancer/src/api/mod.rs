//! The control interface of `lbd`: HTTP/1.1 with JSON bodies on a unix socket.
//!
//! [`views`] is what it shows, [`requests`] what it takes, [`replies`] the frame around both;
//! [`server`] and [`client`] are its two ends.

pub mod client;
pub mod command;
pub mod replies;
pub mod requests;
pub mod server;
pub mod socket;
pub mod views;

#[cfg(test)]
pub(crate) mod tests;

/// Where `lbd` listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/balancer/lbd.sock";
