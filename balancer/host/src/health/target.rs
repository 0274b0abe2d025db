//! What is asked of whom.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use balancer_core::model::{Check, CheckKind};

/// One question to one address. Any number of services may want its answer: equal targets are one probe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The backend's own address.
    pub address: IpAddr,
    /// The TCP port asked.
    pub port: u16,
    /// What is asked.
    pub kind: CheckKind,
    /// From the start of one probe to the start of the next, in milliseconds.
    pub interval_ms: u32,
    /// A probe without an answer for this long, in milliseconds, has failed.
    pub timeout_ms: u32,
}

impl Target {
    /// What a check asks of a backend. How many answers in a row decide is up to whoever takes the reports.
    pub fn of(address: IpAddr, check: &Check) -> Self {
        Self {
            address,
            port: check.port,
            kind: check.kind.clone(),
            interval_ms: check.interval_ms,
            timeout_ms: check.timeout_ms,
        }
    }

    pub(crate) fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.max(1).into())
    }

    /// At most the interval: a longer one, and a silent target would put off its own next probe.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into()).min(self.interval())
    }
}
