//! What events said of a backend's life, in whatever order they came.
//!
//! Two registers that only grow, the newest launch and the furthest end, make the result independent of order and
//! repetition: the same events give the same backends.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{Refusal, ServiceState, transition::Draft};
use crate::model::{AdminState, Backend, ServiceName, Weight};

/// How long a life is remembered whose backend is gone, in milliseconds: a day. An event that is later than that can
/// bring a backend back.
pub const REMEMBERED_MS: u64 = 24 * 60 * 60 * 1_000;

/// How many lives are remembered whose backends are gone, over all services; the oldest go first. Up to [`PRUNE_EVERY`] more
/// may be there for a while.
pub const MAX_REMEMBERED: usize = 4_096;

/// At one in so many changes, whatever they are, lives are looked through for what can be forgotten.
pub const PRUNE_EVERY: u64 = 64;

/// One thing that happened to a backend, told by whoever launches and terminates it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Of which service.
    pub service: ServiceName,
    /// The backend's address.
    pub address: IpAddr,
    /// Which life of that address; a later launch has a larger number.
    pub incarnation: u64,
    /// What happened.
    pub happened: Happened,
}

/// What happened to a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happened {
    /// It is there.
    Launched {
        /// Its share of the slots.
        weight: Weight,
        /// The agent that attends it: `http://host:port`, or `unix:/path`.
        agent: Option<String>,
        /// What that agent calls it.
        instance: Option<String>,
    },
    /// It will go.
    Terminating {
        /// When it may be gone, in milliseconds since 1970.
        deadline_unix_ms: u64,
    },
    /// It is gone.
    Terminated,
}

/// What events said of one backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Life {
    launch: Option<Launch>,
    end: Option<End>,
    /// The incarnation whose drain was seen to be over before its deadline.
    drained: Option<u64>,
    /// When the last news came, in milliseconds since 1970.
    heard_unix_ms: u64,
}

/// The launch with the largest incarnation; the other fields decide between two that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Launch {
    incarnation: u64,
    weight: Weight,
    agent: Option<String>,
    instance: Option<String>,
}

/// The end with the largest incarnation, and of these the furthest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    incarnation: u64,
    phase: Ending,
}

/// Of two deadlines the later one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ending {
    Terminating { deadline_unix_ms: u64 },
    Terminated,
}

/// Where a backend is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It takes new flows.
    Launched,
    /// It drains until its deadline.
    Terminating {
        /// In milliseconds since 1970.
        deadline_unix_ms: u64,
    },
    /// It is gone.
    Terminated,
}

impl Life {
    /// The largest incarnation and phase that was heard of.
    pub fn phase(&self) -> Phase {
        let launched = self.launch.as_ref().map(|launch| launch.incarnation);
        match self.end {
            Some(end) if launched.is_none_or(|launched| end.incarnation >= launched) => {
                match end.phase {
                    Ending::Terminating { deadline_unix_ms } => {
                        Phase::Terminating { deadline_unix_ms }
                    }
                    Ending::Terminated => Phase::Terminated,
                }
            }
            _ => Phase::Launched,
        }
    }

    /// The incarnation of the furthest end that was heard of.
    pub fn ending_incarnation(&self) -> Option<u64> {
        self.end.map(|end| end.incarnation)
    }

    /// The incarnation whose drain was seen to be over before its deadline.
    pub fn drained(&self) -> Option<u64> {
        self.drained
    }

    /// Which agent attends the backend.
    pub fn agent(&self) -> Option<&str> {
        self.launch.as_ref()?.agent.as_deref()
    }

    /// What that agent calls it.
    pub fn instance(&self) -> Option<&str> {
        self.launch.as_ref()?.instance.as_deref()
    }

    /// Takes an event in; whether it was news.
    fn hear(&mut self, event: &Event) -> bool {
        let before = (self.launch.clone(), self.end);
        let incarnation = event.incarnation;
        let mut ends = |phase| self.end = self.end.max(Some(End { incarnation, phase }));
        match &event.happened {
            Happened::Launched {
                weight,
                agent,
                instance,
            } => {
                let launch = Launch {
                    incarnation,
                    weight: *weight,
                    agent: agent.clone(),
                    instance: instance.clone(),
                };
                self.launch = self.launch.take().max(Some(launch));
            }
            &Happened::Terminating { deadline_unix_ms } => {
                ends(Ending::Terminating { deadline_unix_ms });
            }
            Happened::Terminated => ends(Ending::Terminated),
        }
        before != (self.launch.clone(), self.end)
    }
}

impl Draft<'_> {
    /// Takes an event in. News is applied whatever files and operators said before; what is no news changes nothing.
    pub(super) fn hear(&mut self, event: &Event) -> Result<(), Refusal> {
        let (name, address, now_unix_ms) = (&event.service, event.address, self.now_unix_ms);
        let state = self.service(name)?;
        let mut life = state.lives.get(&address).cloned().unwrap_or_default();
        if !life.hear(event) {
            self.notes.push(format!(
                "{address} of service `{name}`: nothing that was not known already"
            ));
            return Ok(());
        }
        life.heard_unix_ms = now_unix_ms;
        let note = state.live(address, &life, now_unix_ms);
        state.lives.insert_mut(address, life);
        self.notes
            .push(format!("{address} of service `{name}` {note}"));
        Ok(())
    }

    /// Remembers that a drain is over before its deadline; nothing, if meanwhile something else is known.
    pub(super) fn drained(&mut self, name: &ServiceName, address: IpAddr, incarnation: u64) {
        let state = self.services.get_mut(name);
        let Some(life) = state.and_then(|state| state.lives.get_mut(&address)) else {
            return;
        };
        if life.ending_incarnation() == Some(incarnation) && life.drained != Some(incarnation) {
            life.drained = Some(incarnation);
            self.notes.push(format!(
                "{address} of service `{name}` has drained: no socket is left"
            ));
        }
    }

    /// Forgets lives without a backend that are too old, or too many. That asks for every life there is.
    pub(super) fn prune(&mut self) {
        let now_unix_ms = self.now_unix_ms;
        let services = self.services.now().iter();
        let of_the_gone = services.flat_map(|(name, state)| {
            let lives = state.lives.iter();
            lives
                .filter(|(address, _)| !state.service.backends.contains_key(address))
                .map(move |(&address, life)| (life.heard_unix_ms, name, address))
        });
        let mut oldest_first = Vec::from_iter(of_the_gone);
        oldest_first.sort_unstable();
        let excess = oldest_first.len().saturating_sub(MAX_REMEMBERED);
        let is_old = |heard| now_unix_ms.saturating_sub(heard) > REMEMBERED_MS;
        let forgotten = oldest_first.iter().enumerate();
        let forgotten: Vec<(ServiceName, IpAddr)> = forgotten
            .filter(|&(index, &(heard_unix_ms, ..))| index < excess || is_old(heard_unix_ms))
            .map(|(_, &(_, name, address))| (name.clone(), address))
            .collect();
        for (name, address) in forgotten {
            if let Some(state) = self.services.get_mut(&name) {
                state.lives.remove_mut(&address);
            }
        }
    }
}

impl ServiceState {
    /// Makes a backend what its life says; tells what came of it.
    fn live(&mut self, address: IpAddr, life: &Life, now_unix_ms: u64) -> String {
        let weight = life.launch.as_ref().map(|launch| launch.weight);
        let backends: &mut BTreeMap<IpAddr, Backend> = &mut self.service.backends;
        match life.phase() {
            Phase::Launched => {
                let backend = Backend {
                    address,
                    weight: weight.unwrap_or_default(),
                    admin: AdminState::Active,
                };
                backends.insert(address, backend);
                self.drain_deadline_unix_ms.remove(&address);
                match std::mem::take(&mut self.removed_when_drained) {
                    true => "was launched; the service was to go and stays".to_owned(),
                    false => "was launched".to_owned(),
                }
            }
            Phase::Terminating { deadline_unix_ms } if deadline_unix_ms > now_unix_ms => {
                // A launch that comes after its termination leaves what it would have left before it.
                if let Some(weight) = weight {
                    let backend = Backend {
                        address,
                        weight,
                        admin: AdminState::Draining,
                    };
                    backends.insert(address, backend);
                } else if let Some(backend) = backends.get_mut(&address) {
                    backend.admin = AdminState::Draining;
                } else {
                    return "will terminate, and is not known here".to_owned();
                }
                self.drain_deadline_unix_ms
                    .insert(address, deadline_unix_ms);
                let seconds = (deadline_unix_ms - now_unix_ms) as f64 / 1_000.0;
                format!("will terminate: it drains, and goes in {seconds} s at the latest")
            }
            Phase::Terminating { .. } => {
                self.forget(address);
                "was to be gone by now: it went".to_owned()
            }
            Phase::Terminated => {
                self.forget(address);
                "was terminated and went".to_owned()
            }
        }
    }

    /// Whether events, and not a file, say that this backend is there.
    pub(super) fn lives(&self, address: IpAddr) -> bool {
        let life = self.lives.get(&address);
        life.is_some_and(|life| life.launch.is_some() && life.phase() != Phase::Terminated)
    }
}
