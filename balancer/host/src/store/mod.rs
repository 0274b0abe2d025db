//! The state file: what a daemon remembers over restarts and crashes, written whole with every change.
//!
//! The directory holds the file and the one before it, as `balancer/host/src/state_dir/sealed.rs` writes them.

mod stored;

#[cfg(test)]
mod tests;

use std::marker::PhantomData;

pub use stored::Stored;

use crate::state_dir::{Found, SealedFile, StateDir, StateDirError};

/// The state file of a running daemon.
#[derive(Debug)]
pub struct Store<S> {
    dir: StateDir,
    warning: Option<String>,
    kept: PhantomData<fn() -> S>,
}

impl<S: Stored> Store<S> {
    const FILE: SealedFile = SealedFile::state(S::FILE);

    /// Reads the state that was saved last.
    ///
    /// When the file is missing or damaged, the state before it is taken, and [`Store::warning`] says so.
    ///
    /// # Errors
    ///
    /// When no whole state is left, when a newer version wrote the file, and when the file system refuses.
    pub fn open(dir: &StateDir) -> Result<(Self, Option<S>), StateDirError> {
        let mut store = Self {
            dir: dir.clone(),
            warning: None,
            kept: PhantomData,
        };
        let (file, path) = (S::FILE, dir.path().display());
        let state = match Self::FILE.read(dir, |json| serde_json::from_slice::<S>(json))? {
            Found::Nothing => None,
            Found::Current(state) => Some(state),
            Found::Previous {
                value: state,
                damage: None,
            } => {
                // What a crash in the middle of a save leaves, too: then nothing is lost.
                store.warning = Some(format!(
                    "no `{file}` in {path}: took `{file}.previous`, {}",
                    state.name()
                ));
                Some(state)
            }
            Found::Previous {
                value: state,
                damage: Some(why),
            } => {
                store.warning = Some(format!(
                    "`{file}` in {path} is damaged ({why}) and now called `{file}.damaged`: took \
                     `{file}.previous`, {}; the last change before the restart may be missing, so look at `{}`",
                    state.name(),
                    S::LOOK
                ));
                Some(state)
            }
        };
        Ok((store, state))
    }

    /// What was wrong with the state file when it was opened; for the log and for `lbctl status`.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Makes `state` the one that the next start finds. When this returns, it is on the disk.
    ///
    /// # Errors
    ///
    /// When the file system refuses; the state saved before is then still there.
    pub fn save(&self, state: &S) -> Result<(), StateDirError> {
        let json = serde_json::to_vec(state).expect("a state has string keys and no foreign types");
        Self::FILE.save(&self.dir, &json)
    }
}
