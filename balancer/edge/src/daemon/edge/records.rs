//! What outlives the daemon: the desired state, as a journal of changes, and what the edge knows for itself, as a file.

use std::{collections::BTreeMap, fmt};

use balancer_config::EdgeConfig;
use balancer_core::{
    model::{BackendId, Health},
    state::{Change, FormerState, State},
};
use balancer_host::{
    clock::unix_ms,
    journal::{AppendError, Entry, FileJournal, Journal},
    state_dir::{StateDir, StateDirError},
    store::Store,
};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::local::LocalState;
use crate::daemon::Failure;

/// The journal and the edge's own file.
pub(super) struct Records {
    journal: Box<dyn Journal<State, Change> + Send>,
    store: Store<LocalState>,
    local: LocalState,
    /// What the configuration changes, until the start can no longer be refused.
    configured: Vec<Entry<Change>>,
}

impl Records {
    /// Reads the state that follows from the journal, and changes it as the configuration says where that is new or has changed
    /// since it was last read; `lbctl`'s changes stay otherwise. These changes are not [recorded](Records::begin) yet: the start
    /// may still be refused.
    pub(super) fn open(config: &EdgeConfig) -> Result<(Self, State), Failure> {
        let dir = StateDir::open(&config.state_dir)?;
        let (store, local) = Store::<LocalState>::open(&dir)?;
        let mut local = local.unwrap_or_default();
        let begin = |former: Option<FormerState>| {
            let Some(mut former) = former else {
                return Ok(State::new(
                    config.hash_key.unwrap_or_else(|| fastrand::u64(..)),
                ));
            };
            local = LocalState::of_former(&mut former);
            store.save(&local)?;
            Ok(former.into_state())
        };
        let (journal, opened) = FileJournal::open(&dir, begin)?;
        let mut state = opened.state;
        for Entry {
            number,
            unix_ms,
            change,
        } in opened.entries
        {
            let next = state.change(&change, unix_ms);
            (state, _) = next.map_err(|refusal| Failure::Entry { number, refusal })?;
        }
        let mut records = Self {
            journal: Box::new(journal),
            store,
            local,
            configured: Vec::new(),
        };
        for warning in records.warnings() {
            warn!("{warning}");
        }
        let state = records.configure(config, state)?;
        Ok((records, state))
    }

    fn configure(&mut self, config: &EdgeConfig, state: State) -> Result<State, Failure> {
        let hash_key = config.hash_key.map(Change::SetHashKey);
        let is_new =
            config.services_digest.is_some() && self.local.config_digest != config.services_digest;
        let services = is_new.then(|| Change::Apply {
            services: config.services.clone(),
            force: true,
        });
        // A file without services leaves what was applied last, or they would be applied anew when they come back.
        if is_new {
            self.local.config_digest.clone_from(&config.services_digest);
        }
        let mut state = state;
        for change in hash_key.into_iter().chain(services) {
            let entry = self.entry(self.configured.len(), change);
            let (next, outcome) = state.change(&entry.change, entry.unix_ms)?;
            for note in &outcome.notes {
                info!("{note}");
            }
            if outcome.changed {
                self.configured.push(entry);
            }
            state = next;
        }
        Ok(state)
    }

    /// Records what the configuration has changed.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        let configured = std::mem::take(&mut self.configured);
        self.append(&configured)?;
        Ok(self.store.save(&self.local)?)
    }

    /// A change of now, as the entry so many behind the next one.
    pub(super) fn entry(&self, offset: usize, change: Change) -> Entry<Change> {
        Entry {
            number: self.journal.head() + 1 + offset as u64,
            unix_ms: unix_ms(),
            change,
        }
    }

    /// Makes entries durable: all of them, or none.
    pub(super) fn append(&mut self, entries: &[Entry<Change>]) -> Result<(), AppendError> {
        let head = self.journal.head();
        self.journal.append(head, entries)
    }

    /// Has the state, which is the one after the last entry, written beside this, if the entries have become many.
    pub(super) fn checkpoint(&mut self, state: &State) {
        if !self.journal.wants_checkpoint() {
            return;
        }
        let said = |error: &dyn fmt::Display| {
            warn!("no checkpoint, so the next start takes longer; tried again later: {error}");
        };
        match self.journal.begin_checkpoint(self.journal.head()) {
            Ok(pending) => {
                let state = state.clone();
                spawn_blocking(move || {
                    if let Err(error) = pending.write(&state) {
                        said(&error);
                    }
                });
            }
            Err(error) => said(&error),
        }
    }

    /// What the edge knows for itself.
    pub(super) fn local(&self) -> &LocalState {
        &self.local
    }

    /// Remembers whether the edge is drained; nothing changes if it can't be saved.
    pub(super) fn set_drained(&mut self, drained: bool) -> Result<(), StateDirError> {
        let local = LocalState {
            drained,
            ..self.local.clone()
        };
        self.store.save(&local)?;
        self.local = local;
        Ok(())
    }

    /// Remembers the health of backends.
    pub(super) fn set_health(
        &mut self,
        health: BTreeMap<BackendId, Health>,
    ) -> Result<(), StateDirError> {
        self.local.health = health;
        self.store.save(&self.local)
    }

    /// What was wrong when they were opened, a sentence each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let journal = self.journal.warnings().iter().cloned();
        let store = self.store.warning().map(str::to_owned);
        journal.chain(store).collect()
    }
}
