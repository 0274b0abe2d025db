//! What a site does next: from the workloads that it is to run and what there is, to the next actions.
//!
//! Level-triggered: [`plan`] looks at everything each time, and gives what is missing. An action that failed, or was
//! carried out by a daemon that crashed before it knew, is found again or found done.

mod checks;
mod edges;
mod instances;
mod model;
mod phase;
mod services;

#[cfg(test)]
mod tests;

pub use checks::site_check;
pub use model::{
    Backend, Declared, Edge, EdgeView, Instance, Life, Memory, TargetKey, Wanted, World,
};
pub use phase::{is_converged, phase};
pub use services::services;

use std::{collections::BTreeSet, net::IpAddr};

use balancer_core::model::{Label, Service, ServiceName};

/// One thing to do. Every one of them may be done again.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Change what the site remembers, before anything is built on it.
    Remember(StateChange),
    /// Do something with an instance.
    Instance(InstanceAction),
    /// Tell an edge something.
    Edge {
        /// The edge's name.
        edge: String,
        /// What it is told.
        action: EdgeAction,
    },
}

/// A decision that the site remembers over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// From now on an instance is on its way out.
    Leave {
        /// Its name.
        name: String,
        /// When its connections are cut at the latest, in milliseconds since 1970.
        deadline_unix_ms: u64,
    },
    /// Nothing of a workload is left.
    Forget(Label),
}

/// What is done with an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceAction {
    /// Start an instance of a target, or make an interrupted start whole.
    Launch {
        /// Its name.
        name: String,
        /// Its workload.
        slug: Label,
        /// Its target.
        target: Label,
    },
    /// Start an instance's containers again.
    Restart(String),
    /// End an instance: its agent leaves it, then the runtime removes it.
    Remove(String),
}

impl InstanceAction {
    /// The instance's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Launch { name, .. } | Self::Restart(name) | Self::Remove(name) => name,
        }
    }
}

/// What an edge is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EdgeAction {
    /// It is to have this service.
    Declare(Service),
    /// It is to forget a service.
    Withdraw(ServiceName),
    /// Something happened to a backend.
    Tell(Event),
}

/// What happened to a backend, for an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened to the backend.
    pub what: What,
    /// Its service.
    pub service: ServiceName,
    /// Its address.
    pub address: IpAddr,
    /// Which life of it: later ones have larger numbers.
    pub incarnation: u64,
    /// The instance that it is, if there is one.
    pub instance: Option<String>,
}

/// What happened to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It is ready for packets.
    Launched,
    /// It will go.
    Terminating {
        /// At the latest then, in milliseconds since 1970.
        deadline_unix_ms: u64,
    },
    /// It is gone.
    Terminated,
}

/// What is to be done now.
pub fn plan(world: &World<'_>) -> Vec<Action> {
    let mut actions = Vec::new();
    for (slug, wanted) in &world.memory.workloads {
        instances::plan(world, slug, wanted, &mut actions);
    }
    for (name, edge) in world.edges {
        if let Edge::Seen(view) = edge {
            let to_edge = edges::plan(world, view).into_iter();
            actions.extend(to_edge.map(|action| Action::Edge {
                edge: name.clone(),
                action,
            }));
        }
    }
    for (slug, wanted) in &world.memory.workloads {
        if wanted.removing && is_gone(world, slug, wanted) {
            actions.push(Action::Remember(StateChange::Forget(slug.clone())));
        }
    }
    actions
}

/// Whether neither an instance nor, at any edge, a service of a workload is left.
fn is_gone(world: &World<'_>, slug: &Label, wanted: &Wanted) -> bool {
    let services = services(wanted);
    world
        .instances
        .iter()
        .all(|instance| &instance.slug != slug)
        && world.edges.values().all(|edge| match edge {
            Edge::Seen(view) => services.iter().all(|service| !view.has(&service.name)),
            Edge::Pending | Edge::Unreachable => false,
        })
}

/// The unwanted services that an edge still has, or may have.
pub fn still_unwanted(world: &World<'_>) -> BTreeSet<Declared> {
    let unwanted = world.memory.unwanted.iter();
    let there = |service: &&Declared| {
        world.edges.values().any(|edge| match edge {
            Edge::Seen(view) => view.services.contains(*service),
            Edge::Pending | Edge::Unreachable => true,
        })
    };
    unwanted.filter(there).cloned().collect()
}
