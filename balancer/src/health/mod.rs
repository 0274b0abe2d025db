//! Health checks: asking each backend, again and again, whether it answers. What the answers mean is decided elsewhere.

mod http;
mod probe;
mod prober;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::model::{BackendId, Check};

pub use prober::spawn;

/// One backend to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its number.
    pub id: BackendId,
    /// Its own address.
    pub address: IpAddr,
    /// How to ask.
    pub check: Check,
}

/// What one probe found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who was asked.
    pub id: BackendId,
    /// How.
    pub check: Check,
    /// Passed, or in a few words why not: `connect: connection refused`, `http status 503`, `no answer within 500 ms`.
    pub outcome: Result<(), String>,
}
