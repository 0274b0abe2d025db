//! Which VIPs an edge lets routers know of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use super::{NextHops, overlay::has_usable};
use crate::{
    model::{BackendId, Health, WhenUnhealthy},
    state::ServiceState,
};

/// What counts for all VIPs of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeConditions<'a> {
    /// Whether the operator has drained the edge.
    pub drained: bool,
    /// Whether the program is on the interface.
    pub attached: bool,
    /// Whether the daemon is about to stop, and withdraws for it.
    pub stopping: bool,
    /// What becomes of VIPs without a usable backend.
    pub when_unhealthy: WhenUnhealthy,
    /// The VIPs that the maps were last written for in full.
    pub served: &'a BTreeSet<IpAddr>,
    /// The VIPs that were announced until now.
    pub announced: &'a BTreeSet<IpAddr>,
}

/// Why a VIP is not announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WithheldReason {
    /// The operator has drained the edge.
    Drained,
    /// The daemon is about to stop.
    Stopping,
    /// The program is not on the interface.
    Detached,
    /// The maps do not have it yet.
    NotServed,
    /// None of its services has a usable backend.
    NoBackend,
}

impl fmt::Display for WithheldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Drained => "the edge is drained",
            Self::Stopping => "lbd is stopping",
            Self::Detached => "no program is on the interface",
            Self::NotServed => "the maps do not have it yet",
            Self::NoBackend => "none of its services has a usable backend",
        })
    }
}

/// Whether a service has a usable backend, seen in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usable {
    /// With health as probes have it.
    pub known: bool,
    /// With health as the maps have it.
    pub trusted: bool,
}

impl Usable {
    /// Of a service: `known` is a backend's health as probes have it, `trusted` as the maps have it.
    pub fn of(
        service: &ServiceState,
        known: &dyn Fn(BackendId) -> Health,
        trusted: &dyn Fn(BackendId) -> Health,
        next_hops: &NextHops,
    ) -> Self {
        Self {
            known: has_usable(service, known, next_hops),
            trusted: has_usable(service, trusted, next_hops),
        }
    }
}

/// Every VIP of these services: announced, or why not.
///
/// A VIP of several services is announced as long as one of them has a usable backend: an address can
/// only be announced whole, and the services that work must not go with one that does not.
///
/// A VIP begins to be announced once a probe has passed, and stays as long as the maps have a usable backend: an edge
/// attracts no packets on trust, and does not give up those that it has for a lack of knowledge.
pub fn announcement(
    services: impl IntoIterator<Item = (IpAddr, Usable)>,
    conditions: EdgeConditions<'_>,
) -> BTreeMap<IpAddr, Result<(), WithheldReason>> {
    let mut able: BTreeMap<IpAddr, bool> = BTreeMap::new();
    for (vip, usable) in services {
        *able.entry(vip).or_default() |= match conditions.announced.contains(&vip) {
            true => usable.trusted,
            false => usable.known,
        };
    }
    able.into_iter()
        .map(|(vip, able)| (vip, judge(vip, able, conditions)))
        .collect()
}

fn judge(vip: IpAddr, able: bool, conditions: EdgeConditions<'_>) -> Result<(), WithheldReason> {
    let EdgeConditions {
        drained,
        attached,
        stopping,
        when_unhealthy,
        served,
        ..
    } = conditions;
    let causes = [
        (drained, WithheldReason::Drained),
        (stopping, WithheldReason::Stopping),
        (!attached, WithheldReason::Detached),
        (!served.contains(&vip), WithheldReason::NotServed),
        (
            !able && when_unhealthy == WhenUnhealthy::Withdraw,
            WithheldReason::NoBackend,
        ),
    ];
    match causes.into_iter().find(|(holds, _)| *holds) {
        Some((_, why)) => Err(why),
        None => Ok(()),
    }
}
