//! The control interface of `lbd site`: HTTP/1.1 with JSON bodies, on a unix socket or over TCP with a token.
//!
//! [`requests`] is what it takes, [`views`] what it shows, [`command`] what the daemon is asked.

pub mod command;
pub mod requests;
pub mod views;
