//! Backends that take flows before their first probe has ended.

use std::collections::BTreeSet;

use crate::{
    model::{BackendId, Health},
    state::State,
};

/// The backends that are trusted until their first probe has ended: those of services of which no
/// backend's health was known.
///
/// A service whose backends are all unknown is new, has just got its check, or its edge has lost its
/// memory. Were its backends believed one by one, as their first probes end, the first one would get
/// every flow of the others for a moment, and the connections that they have open would break.
/// A backend that joins others whose health is known is not trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warming(BTreeSet<BackendId>);

impl Warming {
    /// Follows a state and what is known of its backends' health: to be called after each change of either.
    pub fn follow(&mut self, state: &State, health: &dyn Fn(BackendId) -> Health) {
        let unknown = |id: &BackendId| health(*id) == Health::Unknown;
        let mut warming = BTreeSet::new();
        for service in state.services.values() {
            if service.service.check.is_none() {
                continue;
            }
            let ids = || service.ids.values().copied();
            let all = ids().all(|id| unknown(&id));
            warming.extend(ids().filter(|id| all || (self.0.contains(id) && unknown(id))));
        }
        self.0 = warming;
    }

    /// What the data plane takes a backend's health to be.
    pub fn trusted(&self, id: BackendId, health: Health) -> Health {
        match health {
            Health::Unknown if self.0.contains(&id) => Health::Up,
            known => known,
        }
    }
}
