//! What the site remembers over a restart, and the file that it is kept in.

use std::path::Path;

use balancer_host::{
    state_dir::{StateDir, StateDirError},
    store::{Store, Stored},
};
use tokio::task::block_in_place;
use tracing::warn;

use super::warning::Warning;
use crate::site::Memory;

impl Stored for Memory {
    const LOOK: &str = "lbctl workload status";

    fn name(&self) -> String {
        format!("with {} workloads", self.workloads.len())
    }
}

/// The site's state, in memory and on the disk.
///
/// A decision is in effect when it is on the disk ([`Self::commit`]): edges and runtimes must not hear of what a restart
/// would not know. What is so already, whether saved or not, is in effect at once ([`Self::record`]).
pub(super) struct SiteState {
    store: Store<Memory>,
    memory: Memory,
    /// Whether the file may have something else than the memory.
    unsaved: bool,
    warning: Warning,
}

impl SiteState {
    /// Reads what was saved last, and keeps other daemons out.
    pub(super) fn open(directory: &Path) -> Result<Self, StateDirError> {
        let (store, memory) = Store::open(&StateDir::open(directory)?)?;
        if let Some(warning) = store.warning() {
            warn!("{warning}");
        }
        Ok(Self {
            store,
            memory: memory.unwrap_or_default(),
            unsaved: false,
            warning: Warning::default(),
        })
    }

    /// What the site remembers.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Decides something: when this is `Ok` it is on the disk, and otherwise nothing has changed.
    ///
    /// # Errors
    ///
    /// When it was not saved, in a sentence.
    pub(super) fn commit(&mut self, decide: impl FnOnce(&mut Memory)) -> Result<(), String> {
        let before = self.memory.clone();
        decide(&mut self.memory);
        self.save().inspect_err(|_| self.memory = before)
    }

    /// Takes in what is so already; `note` tells whether it changed anything. If it is not saved now, [`Self::flush`]
    /// tries again.
    pub(super) fn record(&mut self, note: impl FnOnce(&mut Memory) -> bool) {
        if note(&mut self.memory) {
            self.unsaved = true;
            self.flush();
        }
    }

    /// Saves the memory as it is, if that failed before.
    pub(super) fn flush(&mut self) {
        if self.unsaved {
            // The warning says so, and the next look tries again.
            let _ = self.save();
        }
    }

    /// Why nothing can be saved now.
    pub(super) fn warning(&self) -> Option<&str> {
        self.warning.sentence()
    }

    fn save(&mut self) -> Result<(), String> {
        match block_in_place(|| self.store.save(&self.memory)) {
            Ok(()) => {
                self.unsaved = false;
                self.warning.clear();
                Ok(())
            }
            Err(error) => {
                // What the file has now, nobody knows.
                self.unsaved = true;
                let sentence = format!("the site's memory was not saved: {error}");
                self.warning.raise(sentence.clone());
                Err(sentence)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    // Promise: F2
    #[tokio::test(flavor = "multi_thread")]
    async fn a_decision_that_is_not_saved_is_none_and_a_fact_is_saved_later() {
        let place = tempfile::tempdir().unwrap();
        let mut state = SiteState::open(place.path()).unwrap();
        let leave = |memory: &mut Memory, name: &str| {
            memory.leaving.insert(name.to_owned(), 7);
        };
        state.commit(|memory| leave(memory, "web-0")).unwrap();
        // What a full disk does: the new state cannot be written.
        let obstacle = place.path().join("state.new");
        fs::create_dir(&obstacle).unwrap();
        let refused = state.commit(|memory| leave(memory, "web-1"));
        assert!(refused.unwrap_err().contains("state.new"));
        assert!(!state.memory().leaving.contains_key("web-1"));
        state.record(|memory| memory.leaving.remove("web-0").is_some());
        assert!(state.memory().leaving.is_empty() && state.warning().is_some());
        fs::remove_dir(&obstacle).unwrap();
        state.flush();
        assert_eq!(state.warning(), None);
        drop(state);
        let found = SiteState::open(place.path()).unwrap();
        assert!(found.memory().leaving.is_empty());
    }

    #[test]
    fn what_a_site_remembers_is_kept_like_any_state() {
        let place = tempfile::tempdir().unwrap();
        let open = || Store::<Memory>::open(&StateDir::open(place.path()).unwrap()).unwrap();
        let (store, none) = open();
        assert_eq!(none, None);
        let mut memory = Memory::default();
        store.save(&memory).unwrap();
        memory.leaving.insert("web-global-sea-0".to_owned(), 7);
        store.save(&memory).unwrap();
        drop(store);
        let (store, found) = open();
        assert_eq!(found, Some(memory));
        drop(store);
        fs::write(place.path().join("state"), "half").unwrap();
        let (store, found) = open();
        assert_eq!(found, Some(Memory::default()));
        let warning = store.warning().unwrap();
        assert!(warning.contains("lbctl workload status"), "{warning}");
    }
}
