//! The edges of the site.

use std::collections::BTreeMap;

use balancer_api::client::Client;

use super::{
    edge::EdgeLink,
    messages::{Outcomes, Speaker, tell_all},
    tasks::Tasks,
};
use crate::site::{Edge, EdgeAction};

/// Every edge of the site, by its name.
pub(super) struct Edges {
    speaker: Speaker,
    links: BTreeMap<String, EdgeLink>,
}

impl Edges {
    /// Begins to ask them all.
    pub(super) fn start(speaker: Speaker, clients: BTreeMap<String, Client>) -> Self {
        let links = clients.into_iter();
        let links = links.map(|(name, client)| (name, EdgeLink::start(client)));
        Self {
            speaker,
            links: links.collect(),
        }
    }

    /// What a plan may build on. Of an edge that is being told something nobody knows what it has.
    pub(super) fn states(&self, tasks: &Tasks) -> BTreeMap<String, Edge> {
        let state = |(name, link): (&String, &EdgeLink)| {
            let state = match tasks.is_edge_busy(name) {
                true => Edge::Pending,
                false => link.edge(),
            };
            (name.clone(), state)
        };
        self.links.iter().map(state).collect()
    }

    /// Notices who does not answer.
    pub(super) fn look(&mut self) {
        for (name, link) in &mut self.links {
            link.look(name);
        }
    }

    /// Tells an edge these things, one after the other, beside the control loop.
    pub(super) fn tell(&mut self, name: String, actions: Vec<EdgeAction>, tasks: &mut Tasks) {
        if let Some(link) = self.links.get_mut(&name) {
            link.telling();
            tasks.tell(name, tell_all(link.client(), self.speaker.clone(), actions));
        }
    }

    /// An edge was told these things.
    pub(super) fn were_told(&mut self, name: &str, outcomes: Outcomes) {
        if let Some(link) = self.links.get_mut(name) {
            for (action, outcome) in outcomes {
                link.was_told(name, &action, outcome);
            }
        }
    }

    /// What goes wrong now, a sentence each.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &str> {
        self.links.values().flat_map(|link| link.warnings())
    }
}
