//! From one state to the next: what each change does to the declared services.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::{
    Change, Lives, Outcome, PRUNE_EVERY, Refusal, ServiceState, State, ids::Ids, services::Edits,
    settle,
};
use crate::{
    model::{AdminState, Backend, Service, ServiceName},
    table::{Table, slots_for},
};

impl State {
    /// The state after `change`, and what that did. `now_unix_ms`: milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] when the change names what is not there or is there already, breaks one of the
    /// [rules](super::rules), or would leave a service without a backend and does not insist.
    pub fn change(&self, change: &Change, now_unix_ms: u64) -> Result<(State, Outcome), Refusal> {
        if let &Change::SetHashKey(hash_key) = change {
            return Ok(self.with_hash_key(hash_key));
        }
        let mut draft = Draft {
            ids: Ids::of(self),
            services: Edits::of(&self.services),
            now_unix_ms,
            notes: Vec::new(),
        };
        let force = draft.edit(change)?;
        if self.generation.is_multiple_of(PRUNE_EVERY) && !draft.services.differing().is_empty() {
            draft.prune();
        }
        settle::settle(self, draft, force)
    }

    fn with_hash_key(&self, hash_key: u64) -> (State, Outcome) {
        let changed = self.hash_key != hash_key;
        let state = State {
            generation: self.generation + u64::from(changed),
            hash_key,
            ..self.clone()
        };
        let outcome = Outcome {
            changed,
            generation: state.generation,
            ..Outcome::default()
        };
        (state, outcome)
    }
}

/// The services while they are edited.
pub(super) struct Draft<'a> {
    pub(super) services: Edits<'a>,
    pub(super) ids: Ids<'a>,
    pub(super) notes: Vec<String>,
    pub(super) now_unix_ms: u64,
}

/// What a change may do to a service that has backends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    /// Leave it with at least one backend that takes new flows.
    No,
    /// Anything.
    Yes,
}

impl From<bool> for Force {
    fn from(force: bool) -> Force {
        if force { Force::Yes } else { Force::No }
    }
}

impl Draft<'_> {
    /// Edits the declared services, and returns whether the change may empty one.
    fn edit(&mut self, change: &Change) -> Result<Force, Refusal> {
        match change {
            Change::AddService(service) => {
                self.add_service(service)?;
                Ok(Force::No)
            }
            Change::RemoveService { name, now, force } => {
                self.remove_service(name, *now, *force)?;
                Ok(Force::Yes)
            }
            Change::AddBackend { service, backend } => {
                self.add_backend(service, backend)?;
                Ok(Force::No)
            }
            Change::RemoveBackend {
                service,
                address,
                now,
                force,
            } => {
                self.remove_backend(service, *address, *now)?;
                Ok((*force).into())
            }
            Change::Drain {
                service,
                address,
                force,
            } => {
                self.backend(service, *address)?.admin = AdminState::Draining;
                Ok((*force).into())
            }
            Change::SetWeight {
                service,
                address,
                weight,
                force,
            } => {
                self.backend(service, *address)?.weight = *weight;
                Ok((*force).into())
            }
            Change::Apply { services, force } => {
                self.apply(services, *force)?;
                Ok((*force).into())
            }
            Change::EndDrains => {
                self.end_drains();
                Ok(Force::Yes)
            }
            Change::DeclareService(service) => {
                self.declare_service(service)?;
                Ok(Force::No)
            }
            Change::Hear(event) => {
                self.hear(event)?;
                // Whoever terminates a backend does not ask whether it may.
                Ok(Force::Yes)
            }
            Change::Drained {
                service,
                address,
                incarnation,
            } => {
                self.drained(service, *address, *incarnation);
                Ok(Force::Yes)
            }
            // It touches no service.
            Change::SetHashKey(_) => Ok(Force::No),
        }
    }

    pub(super) fn service(&mut self, name: &ServiceName) -> Result<&mut ServiceState, Refusal> {
        self.services
            .get_mut(name)
            .ok_or_else(|| Refusal::no_service(name))
    }

    fn backend(&mut self, name: &ServiceName, address: IpAddr) -> Result<&mut Backend, Refusal> {
        let backends = &mut self.service(name)?.service.backends;
        backends
            .get_mut(&address)
            .ok_or_else(|| Refusal::no_backend(name, address))
    }

    pub(super) fn add_service(&mut self, service: &Service) -> Result<(), Refusal> {
        if self.services.now().contains(&service.name) {
            return Err(Refusal::Conflict {
                problem: format!("service `{}` is there already", service.name),
                remedy:
                    "change its backends, apply a file that declares it anew, or remove it first"
                        .into(),
            });
        }
        let id = self.ids.service().ok_or_else(|| Refusal::Invalid {
            problem: format!("no number is left for service `{}`", service.name),
            remedy: "remove services in a change of their own first".into(),
        })?;
        let state = ServiceState {
            service: service.clone(),
            id,
            generation: 0,
            ids: BTreeMap::new(),
            table: Arc::new(Table::empty(slots_for(0))),
            drain_deadline_unix_ms: BTreeMap::new(),
            lives: Lives::default(),
            removed_when_drained: false,
        };
        self.services.insert(state);
        Ok(())
    }

    fn remove_service(
        &mut self,
        name: &ServiceName,
        now: bool,
        force: bool,
    ) -> Result<(), Refusal> {
        let now_unix_ms = self.now_unix_ms;
        let state = self.service(name)?;
        let backends = state.service.backends.len();
        if backends > 0 && !force && !state.removed_when_drained {
            return Err(Refusal::has_backends(name, backends));
        }
        if backends == 0 || now {
            self.services.remove(name);
            return Ok(());
        }
        let addresses: Vec<IpAddr> = state.service.backends.keys().copied().collect();
        for address in addresses {
            state.drain_to_the_end(address, now_unix_ms);
        }
        state.removed_when_drained = true;
        self.notes.push(format!(
            "service `{name}` goes when its backends have drained"
        ));
        Ok(())
    }

    fn add_backend(&mut self, name: &ServiceName, backend: &Backend) -> Result<(), Refusal> {
        let state = self.service(name)?;
        let address = backend.address;
        let known = state
            .service
            .backends
            .get(&address)
            .map(|known| known.admin);
        if known == Some(AdminState::Active) {
            return Err(Refusal::Conflict {
                problem: format!("service `{name}` has backend {address} already"),
                remedy: format!(
                    "give it another share with `lbctl backends weight {name} {address}`"
                ),
            });
        }
        state.service.backends.insert(address, backend.clone());
        state.drain_deadline_unix_ms.remove(&address);
        let stays = std::mem::take(&mut state.removed_when_drained);
        if known.is_some() {
            self.notes
                .push(format!("{address} was draining and takes new flows again"));
        }
        if stays {
            self.notes
                .push(format!("service `{name}` was to go and stays"));
        }
        Ok(())
    }

    fn remove_backend(
        &mut self,
        name: &ServiceName,
        address: IpAddr,
        now: bool,
    ) -> Result<(), Refusal> {
        self.backend(name, address)?;
        let now_unix_ms = self.now_unix_ms;
        let state = self.service(name)?;
        if now {
            state.forget(address);
        } else if state.drain_to_the_end(address, now_unix_ms) {
            let seconds = f64::from(state.service.drain_timeout_ms) / 1_000.0;
            self.notes
                .push(format!("{address} drains and goes in {seconds} s"));
        }
        Ok(())
    }
}
