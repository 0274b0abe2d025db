//! Numbers that changes have given back, and that nobody may have before all who know them have heard so.

use std::collections::BTreeSet;

use super::{Outcome, State};
use crate::model::{BackendId, ServiceId};

/// Numbers of services and backends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    services: BTreeSet<ServiceId>,
    backends: BTreeSet<BackendId>,
}

impl Numbers {
    /// Adds those that a change gave back.
    pub fn add(&mut self, before: &State, after: &State, outcome: &Outcome) {
        let gone = Self::only_of(before, after, outcome);
        self.services.extend(gone.services);
        self.backends.extend(gone.backends);
    }

    /// Whether a change gave one of these to somebody else.
    pub fn are_taken(&self, before: &State, after: &State, outcome: &Outcome) -> bool {
        if self.services.is_empty() && self.backends.is_empty() {
            return false;
        }
        let new = Self::only_of(after, before, outcome);
        !(self.services.is_disjoint(&new.services) && self.backends.is_disjoint(&new.backends))
    }

    /// Those that mean something in `this` state which they do not mean in the `other`, of the services that a change touched.
    fn only_of(this: &State, other: &State, outcome: &Outcome) -> Self {
        let mut numbers = Self::default();
        for name in &outcome.services {
            let Some(service) = this.services.get(name) else {
                continue;
            };
            let other = other.services.get(name);
            if other.is_none_or(|other| other.id != service.id) {
                numbers.services.insert(service.id);
            }
            let ids = service.ids.iter();
            let only = ids.filter(|(address, id)| {
                other.is_none_or(|other| other.ids.get(address) != Some(id))
            });
            numbers.backends.extend(only.map(|(_, id)| id));
        }
        numbers
    }
}
