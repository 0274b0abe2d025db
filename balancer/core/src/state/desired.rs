//! A whole desired set of services.

use std::collections::{BTreeMap, BTreeSet};

use super::{Refusal, ServiceState, rules, transition::Draft};
use crate::model::{AdminState, Service, ServiceName};

impl Draft<'_> {
    /// Makes the declared services those of `services`.
    pub(super) fn apply(&mut self, services: &[Service], force: bool) -> Result<(), Refusal> {
        // Before two services of one name become one.
        rules::check(services)?;
        let declared: BTreeSet<&ServiceName> =
            services.iter().map(|service| &service.name).collect();
        let names: Vec<ServiceName> = self.services.now().names().cloned().collect();
        for name in names.into_iter().filter(|name| !declared.contains(name)) {
            let state = self.service(&name)?;
            if state.removed_when_drained {
                continue;
            }
            let backends = state.service.backends.len();
            if backends > 0 && !force {
                return Err(Refusal::has_backends(&name, backends));
            }
            self.services.remove(&name);
            self.notes
                .push(format!("service `{name}` is no longer declared and went"));
        }
        for service in services {
            if !self.services.now().contains(&service.name) {
                self.add_service(service)?;
                continue;
            }
            let now_unix_ms = self.now_unix_ms;
            let notes = self.service(&service.name)?.declare(service, now_unix_ms);
            self.notes.extend(notes);
        }
        Ok(())
    }
}

impl Draft<'_> {
    /// Declares one service without a word on its backends.
    pub(super) fn declare_service(&mut self, service: &Service) -> Result<(), Refusal> {
        let Some(state) = self.services.get_mut(&service.name) else {
            return self.add_service(&Service {
                backends: BTreeMap::new(),
                ..service.clone()
            });
        };
        let known = &mut state.service;
        let fixed = |of: &Service| (of.key, of.encapsulation, of.hash);
        if fixed(known) != fixed(service) {
            return Err(Refusal::Conflict {
                problem: format!(
                    "service `{}` is {} by {}, hashed by {}, already",
                    known.name, known.key, known.encapsulation, known.hash
                ),
                remedy: "declare it under another name, or remove it first".into(),
            });
        }
        known.check.clone_from(&service.check);
        known.drain_timeout_ms = service.drain_timeout_ms;
        if std::mem::take(&mut state.removed_when_drained) {
            self.notes
                .push(format!("service `{}` was to go and stays", service.name));
        }
        Ok(())
    }
}

impl ServiceState {
    /// Becomes what `desired` says; backends that it does not name drain to the end.
    fn declare(&mut self, desired: &Service, now_unix_ms: u64) -> Vec<String> {
        let mut notes = Vec::new();
        let before = std::mem::replace(&mut self.service, desired.clone());
        self.removed_when_drained = false;
        if before.hash != desired.hash {
            notes.push(format!(
                "service `{}` hashes by {} now: most flows go to another backend",
                desired.name, desired.hash
            ));
        }
        for (address, backend) in before.backends {
            match desired.backends.get(&address) {
                Some(wish) => {
                    if wish.admin == AdminState::Active {
                        self.drain_deadline_unix_ms.remove(&address);
                        if backend.admin == AdminState::Draining {
                            notes.push(format!("{address} was draining and takes new flows again"));
                        }
                    }
                }
                // No packet could reach it any more.
                None if !desired.encapsulation.carries(desired.key.vip, address) => {
                    self.drain_deadline_unix_ms.remove(&address);
                    notes.push(format!(
                        "{address} is no longer declared and went, for {} cannot carry packets to it",
                        desired.encapsulation
                    ));
                }
                // Whoever launched it says when it goes.
                None if self.lives(address) => {
                    self.service.backends.insert(address, backend);
                }
                None => {
                    self.service.backends.insert(address, backend);
                    if self.drain_to_the_end(address, now_unix_ms) {
                        notes.push(format!("{address} is no longer declared and drains"));
                    }
                }
            }
        }
        notes
    }
}
