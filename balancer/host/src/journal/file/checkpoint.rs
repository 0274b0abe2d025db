//! Checkpoints: sealed files, and which segments they need.

use std::{
    marker::PhantomData,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::warn;

use super::chain::{name, segments};
use crate::{
    journal::{JournalError, PendingCheckpoint},
    state_dir::{Found, SealedFile, StateDir, StateDirError},
};

const FILE: SealedFile = SealedFile::new(
    "checkpoint",
    "balancer-checkpoint",
    1,
    "move all files but `lock` away to start from the configuration alone (connections will move)",
);

#[derive(Serialize)]
struct ContentRef<'a, S> {
    number: u64,
    state: &'a S,
}

/// What a checkpoint holds: a state, and the number of the last entry in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content<S> {
    pub(super) number: u64,
    pub(super) state: S,
}

/// The checkpoint that was written last, or else the one before it.
pub(super) fn read<S: DeserializeOwned>(
    dir: &StateDir,
) -> Result<Found<Content<S>>, StateDirError> {
    FILE.read(dir, |json| serde_json::from_slice(json))
}

/// Writes a checkpoint that there is no other before, and once more, so that there is one before it from the start.
pub(super) fn write_first<S: Serialize>(dir: &StateDir, state: &S) -> Result<(), StateDirError> {
    let json = encode(0, state);
    FILE.save(dir, &json)?;
    FILE.save(dir, &json)
}

fn encode<S: Serialize>(number: u64, state: &S) -> Vec<u8> {
    serde_json::to_vec(&ContentRef { number, state })
        .expect("a state has string keys and no foreign types")
}

/// The checkpoints of an open journal. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Checkpoints(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Held while one is written.
    kept: Mutex<Kept>,
    /// How many wait for their state.
    pending: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    /// The number of `checkpoint`; `None` when it is damaged or missing.
    current: Option<u64>,
    /// The number of `checkpoint.previous`, if it was read.
    previous: Option<u64>,
}

impl Checkpoints {
    pub(super) fn new(current: Option<u64>, previous: Option<u64>) -> Self {
        Self(Arc::new(Shared {
            kept: Mutex::new(Kept { current, previous }),
            pending: AtomicUsize::new(0),
        }))
    }

    pub(super) fn is_pending(&self) -> bool {
        self.0.pending.load(Ordering::Relaxed) > 0
    }

    /// The checkpoint of this number, to be written. The segment behind it must be there.
    pub(super) fn begin<S>(&self, dir: &StateDir, number: u64) -> Pending<S> {
        self.0.pending.fetch_add(1, Ordering::Relaxed);
        Pending {
            dir: dir.clone(),
            checkpoints: self.clone(),
            number,
            written: PhantomData,
        }
    }
}

/// A checkpoint that waits for its state.
pub(super) struct Pending<S> {
    dir: StateDir,
    checkpoints: Checkpoints,
    number: u64,
    written: PhantomData<fn(S)>,
}

impl<S: Serialize> PendingCheckpoint<S> for Pending<S> {
    fn number(&self) -> u64 {
        self.number
    }

    fn write(self: Box<Self>, state: &S) -> Result<(), JournalError> {
        let json = encode(self.number, state);
        // Whoever panicked with it left whole values.
        let kept = self.checkpoints.0.kept.lock();
        let mut kept = kept.unwrap_or_else(PoisonError::into_inner);
        if kept.current > Some(self.number) {
            return Ok(());
        }
        FILE.save(&self.dir, &json)?;
        kept.previous = kept.current.or(kept.previous);
        kept.current = Some(self.number);
        // The checkpoint counts, whether or not they go; they go with the next one then.
        if let Some(previous) = kept.previous
            && let Err(error) = remove_before(&self.dir, previous + 1)
        {
            warn!("old entries stay: {error}");
        }
        Ok(())
    }
}

impl<S> Drop for Pending<S> {
    fn drop(&mut self) {
        self.checkpoints.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Removes the segments before the one that begins with entry `first`.
fn remove_before(dir: &StateDir, first: u64) -> Result<(), StateDirError> {
    for old in segments(dir)?.into_iter().filter(|&old| old < first) {
        dir.remove(&name(old))?;
    }
    Ok(())
}
