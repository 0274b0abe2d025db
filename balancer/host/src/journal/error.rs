//! What can be wrong with a journal.

use std::error::Error;

use thiserror::Error;

/// Why a journal could not be opened, read or written. The messages name the place, and say what to do.
#[derive(Debug, Error)]
pub enum JournalError {
    /// What keeps it refused.
    #[error("{0}")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// It is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// A newer lbd wrote it.
    #[error(
        "{place} has schema version {version}, and this lbd knows versions up to {known}: run the newer lbd again"
    )]
    Newer {
        /// Where.
        place: String,
        /// Its schema version.
        version: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// The state that it was to begin with could not be made.
    #[error("cannot begin the journal in {place}: {source}")]
    NotBegun {
        /// Where.
        place: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The entries that were asked for are in a checkpoint, and gone.
    #[error(
        "entry {asked} is no longer in the journal, which begins with entry {first}: start from its checkpoint"
    )]
    Compacted {
        /// The first that was asked for.
        asked: u64,
        /// The oldest that is kept.
        first: u64,
    },
    /// The caller's number is another than the journal's.
    #[error("number {found} where the journal has {expected}: this is a fault of lbd; report it")]
    Misnumbered {
        /// The journal's.
        expected: u64,
        /// The caller's.
        found: u64,
    },
    /// An append failed, and what it left could not be taken back. Nothing is appended any more.
    #[error(
        "{place} takes no entries since an append failed: see the log for why, and restart lbd"
    )]
    Closed {
        /// Where.
        place: String,
    },
}

/// Why entries could not be appended.
#[derive(Debug, Error)]
pub enum AppendError {
    /// There are other entries behind the number that the new ones were made for: read them, and decide anew. The
    /// journal is as before.
    #[error("the journal has moved on to entry {head}")]
    Moved {
        /// The journal's head.
        head: u64,
    },
    /// The journal is as before.
    #[error("nothing was changed: {0}")]
    Failed(#[source] JournalError),
    /// The new entries may be there or not. A journal that is opened anew tells.
    #[error("whether the change is made shows only when lbd is started again: {0}")]
    Unknown(#[source] JournalError),
}
