//! The control interface of `lbd site`: HTTP/1.1 with JSON bodies, on a unix socket or over TCP with a token.
//!
//! [`requests`] is what it takes, [`views`] what it shows, [`command`] what the daemon is asked; [`server`] and
//! [`client`] are its two ends.

pub mod client;
pub mod command;
pub mod requests;
pub mod server;
pub mod views;

#[cfg(test)]
mod tests;

/// The largest context that an image is built from, in bytes.
pub const IMAGE_LIMIT_BYTES: usize = 512 << 20;
