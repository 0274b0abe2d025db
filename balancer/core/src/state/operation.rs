//! Drains that somebody waits for: each `terminating` event begins one.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Life, ServiceState, State, lifecycle::Phase};
use crate::model::{ServiceKey, ServiceName};

/// Names a drain: `SERVICE~ADDRESS~INCARNATION`.
///
/// Made of what the event says, so that a repeated event names the same one, on every edge and after any restart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperationId {
    /// Of which service.
    pub service: ServiceName,
    /// The backend's address.
    pub address: IpAddr,
    /// Which life of that address ends.
    pub incarnation: u64,
}

/// A drain, as the state knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its name.
    pub id: OperationId,
    /// What packets call the service.
    pub key: ServiceKey,
    /// Why it is over; `None` while it is not.
    pub done: Option<DoneReason>,
    /// When it is over at the latest, in milliseconds since 1970; `None` when it is over for another reason.
    pub deadline_unix_ms: Option<u64>,
    /// The agent that counts the backend's sockets.
    pub agent: Option<String>,
    /// What that agent calls the backend.
    pub instance: Option<String>,
}

/// Why a drain is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoneReason {
    /// The backend had no socket of the service for two seconds.
    Drained,
    /// The deadline passed.
    Deadline,
    /// The backend is gone.
    Terminated,
    /// The address has a later life.
    Superseded,
}

impl State {
    /// Every drain that is remembered, running or over, in the order of service and address.
    pub fn operations(&self, now_unix_ms: u64) -> impl Iterator<Item = Operation> {
        self.services.values().flat_map(move |state| {
            let lives = state.lives.iter();
            lives.filter_map(move |(&address, life)| {
                Operation::of(state, address, life, now_unix_ms)
            })
        })
    }

    /// The drain that a backend's newest end began.
    pub fn operation(
        &self,
        service: &ServiceName,
        address: IpAddr,
        now_unix_ms: u64,
    ) -> Option<Operation> {
        let state = self.services.get(service)?;
        Operation::of(state, address, state.lives.get(&address)?, now_unix_ms)
    }
}

impl Operation {
    /// The drain of a life that came to an end, or will.
    fn of(state: &ServiceState, address: IpAddr, life: &Life, now_unix_ms: u64) -> Option<Self> {
        let incarnation = life.ending_incarnation()?;
        let (done, deadline_unix_ms) = match life.phase() {
            Phase::Launched => (Some(DoneReason::Superseded), None),
            _ if life.drained() == Some(incarnation) => (Some(DoneReason::Drained), None),
            Phase::Terminated => (Some(DoneReason::Terminated), None),
            Phase::Terminating { deadline_unix_ms } => {
                let over = deadline_unix_ms <= now_unix_ms;
                (over.then_some(DoneReason::Deadline), Some(deadline_unix_ms))
            }
        };
        Some(Self {
            id: OperationId {
                service: state.service.name.clone(),
                address,
                incarnation,
            },
            key: state.service.key,
            done,
            deadline_unix_ms,
            agent: life.agent().map(str::to_owned),
            instance: life.instance().map(str::to_owned),
        })
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            service,
            address,
            incarnation,
        } = self;
        write!(f, "{service}~{address}~{incarnation}")
    }
}

impl FromStr for OperationId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('~').collect();
        let id = match parts[..] {
            [service, address, incarnation] => service
                .parse()
                .ok()
                .zip(address.parse().ok())
                .zip(incarnation.parse().ok())
                .map(|((service, address), incarnation)| Self {
                    service,
                    address,
                    incarnation,
                }),
            _ => None,
        };
        id.ok_or_else(|| {
            format!(
                "`{text}` is no operation: write it as the answer to the event has it, like `web~10.1.0.10~1`"
            )
        })
    }
}

impl TryFrom<String> for OperationId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<OperationId> for String {
    fn from(id: OperationId) -> String {
        id.to_string()
    }
}
