//! The journal of one edge, in files of its state directory.
//!
//! `journal-N` is a segment: a line for each entry from number N on. `checkpoint` holds a state and the number of the
//! last entry in it; `checkpoint.previous` is the one before. A segment begins behind each checkpoint, and those that
//! `checkpoint.previous` needs stay, so that one damaged checkpoint costs nothing.

mod chain;
mod checkpoint;
mod old_state;
mod segment;
mod tail;

use std::{error::Error, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use chain::{Chain, keep_torn, name, segments, write_segment};
use checkpoint::{Checkpoints, Content};
use tail::Tail;

use super::{AppendError, Entry, Journal, JournalError, Opened, PendingCheckpoint};
use crate::state_dir::{Found, StateDir, StateDirError};

/// A start reads and folds at most about so many entries.
const MAX_ENTRIES: u64 = 1_000;
/// A start reads at most about so much.
const MAX_BYTES: u64 = 4 << 20;
/// How many entries come between two attempts to begin a checkpoint.
const RETRY_ENTRIES: u64 = 100;

/// The journal of one edge. Nobody else appends to it: the directory's lock keeps a second daemon out.
#[derive(Debug)]
pub struct FileJournal<S, C> {
    dir: StateDir,
    head: u64,
    tail: Tail,
    checkpoints: Checkpoints,
    /// A start would read more than the newest segment, or an older checkpoint.
    overdue: bool,
    /// No checkpoint is begun before the head is here, after one that could not be begun.
    retry_at: u64,
    warnings: Vec<String>,
    types: PhantomData<fn(S, C)>,
}

impl<S, C> FileJournal<S, C>
where
    S: Serialize + DeserializeOwned,
    C: Serialize + DeserializeOwned,
{
    /// Opens the journal in a state directory.
    ///
    /// If there is none, `begin` makes the state that it begins with: of the state file `O` that a version before the
    /// journal left, if it did. What else `begin` takes from that file it must make durable before it returns:
    /// afterwards the file is set aside as `state.before-journal`. After a crash, `begin` may be called again.
    ///
    /// # Errors
    ///
    /// When entries or checkpoints are damaged or missing, when a newer version wrote them, when `begin` fails, and when
    /// the file system refuses. No file is lost or overwritten then.
    pub fn open<O: DeserializeOwned>(
        dir: &StateDir,
        begin: impl FnOnce(Option<O>) -> Result<S, Box<dyn Error + Send + Sync>>,
    ) -> Result<(Self, Opened<S, C>), JournalError> {
        let mut warnings = Vec::new();
        let place = dir.path().display();
        let (content, checkpoints, healed) = match checkpoint::read(dir)? {
            Found::Current(content) => {
                // The one before it is read only when it is needed: the next one takes its place.
                let checkpoints = Checkpoints::new(Some(content.number), None);
                (content, checkpoints, false)
            }
            Found::Previous { value, damage } => {
                // A missing one is what a crash in the middle of a checkpoint leaves.
                warnings.extend(damage.map(|why| {
                    format!(
                        "`checkpoint` in {place} is damaged ({why}) and now called `checkpoint.damaged`: took \
                         `checkpoint.previous` and the entries after it, so that nothing is missing"
                    )
                }));
                let checkpoints = Checkpoints::new(None, Some(value.number));
                (value, checkpoints, true)
            }
            Found::Nothing => {
                let state = begin_with(dir, begin, &mut warnings)?;
                let content = Content { number: 0, state };
                (content, Checkpoints::new(Some(0), Some(0)), false)
            }
        };
        warnings.extend(old_state::set_aside(dir)?);

        let Content { number, state } = content;
        let chain = Chain::<C>::read(dir, number)?;
        warnings.extend(chain.warnings);
        if !chain.torn.is_empty() {
            warnings.push(keep_torn(dir, &name(chain.newest_first), &chain.torn)?);
        }
        let entries = chain.newest_entries;
        let tail = Tail::open(dir, chain.newest_first, entries, chain.newest_bytes)?;
        let journal = Self {
            dir: dir.clone(),
            head: number + chain.entries.len() as u64,
            overdue: healed || chain.newest_first > number + 1,
            tail,
            checkpoints,
            retry_at: 0,
            warnings,
            types: PhantomData,
        };
        let entries = chain.entries;
        Ok((
            journal,
            Opened {
                number,
                state,
                entries,
            },
        ))
    }

    /// Begins a new segment behind the head, if the newest one has entries.
    fn begin_segment(&mut self) -> Result<(), JournalError> {
        self.tail.check_open()?;
        let first = self.head + 1;
        if self.tail.first() != first {
            let bytes = write_segment(&self.dir, first)?;
            self.tail = Tail::open(&self.dir, first, 0, bytes)?;
        }
        Ok(())
    }
}

impl<S, C> Journal<S, C> for FileJournal<S, C>
where
    S: Serialize + DeserializeOwned + 'static,
    C: Serialize + DeserializeOwned,
{
    fn head(&self) -> u64 {
        self.head
    }

    fn append(&mut self, after: u64, entries: &[Entry<C>]) -> Result<(), AppendError> {
        if after != self.head {
            return Err(AppendError::Moved { head: self.head });
        }
        for (entry, expected) in entries.iter().zip(after + 1..) {
            if entry.number != expected {
                let found = entry.number;
                return Err(AppendError::Failed(JournalError::Misnumbered {
                    expected,
                    found,
                }));
            }
        }
        if entries.is_empty() {
            return Ok(());
        }
        let count = entries.len() as u64;
        self.tail.append(&segment::encode(entries), count)?;
        self.head += count;
        Ok(())
    }

    fn read_from(&mut self, number: u64) -> Result<Vec<Entry<C>>, JournalError> {
        let number = number.max(1);
        let firsts = segments(&self.dir)?;
        let Some(&first) = firsts.iter().rfind(|&&first| first <= number) else {
            return Err(JournalError::Compacted {
                asked: number,
                first: firsts.first().copied().unwrap_or(self.head + 1),
            });
        };
        let mut entries = Chain::<C>::read(&self.dir, first - 1)?.entries;
        // Behind the head may be what a failed append left.
        entries.retain(|entry| (number..=self.head).contains(&entry.number));
        Ok(entries)
    }

    fn wants_checkpoint(&self) -> bool {
        let much = self.tail.entries() >= MAX_ENTRIES || self.tail.length_bytes() >= MAX_BYTES;
        (much || self.overdue) && self.head >= self.retry_at && !self.checkpoints.is_pending()
    }

    fn begin_checkpoint(
        &mut self,
        number: u64,
    ) -> Result<Box<dyn PendingCheckpoint<S>>, JournalError> {
        if number != self.head {
            return Err(JournalError::Misnumbered {
                expected: self.head,
                found: number,
            });
        }
        if let Err(error) = self.begin_segment() {
            self.retry_at = self.head + RETRY_ENTRIES;
            return Err(error);
        }
        self.overdue = false;
        Ok(Box::new(self.checkpoints.begin::<S>(&self.dir, number)))
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// The first checkpoint, and the segment behind it. The checkpoint comes last: without it, all of this is done again.
fn begin_with<S: Serialize, O: DeserializeOwned>(
    dir: &StateDir,
    begin: impl FnOnce(Option<O>) -> Result<S, Box<dyn Error + Send + Sync>>,
    warnings: &mut Vec<String>,
) -> Result<S, JournalError> {
    let place = dir.path().display().to_string();
    for first in segments(dir)? {
        // A crash between the two leaves one without entries.
        if first != 1
            || !Chain::<serde::de::IgnoredAny>::read(dir, 0)?
                .entries
                .is_empty()
        {
            return Err(JournalError::Damaged(format!(
                "`checkpoint` and `checkpoint.previous` are missing in {place}, and there are entries that need them: \
                 put back a copy, or move all files but `lock` away to start from the configuration alone (connections \
                 will move)"
            )));
        }
    }
    let (old, warning) = old_state::read(dir)?;
    warnings.extend(warning);
    let state = begin(old).map_err(|source| JournalError::NotBegun { place, source })?;
    write_segment(dir, 1)?;
    checkpoint::write_first(dir, &state)?;
    Ok(state)
}

impl From<StateDirError> for JournalError {
    fn from(error: StateDirError) -> Self {
        match error {
            StateDirError::Newer {
                path,
                version,
                known,
            } => Self::Newer {
                place: path.display().to_string(),
                version,
                known,
            },
            StateDirError::Damaged { .. } => Self::Damaged(error.to_string()),
            StateDirError::Io { .. } | StateDirError::InUse { .. } => {
                Self::Unavailable(Box::new(error))
            }
        }
    }
}

#[cfg(test)]
mod tests;
