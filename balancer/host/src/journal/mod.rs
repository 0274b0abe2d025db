//! The journal: changes in the order in which they were made, and checkpoints of the state that follows from them.
//!
//! The state is the fold of all entries over the first checkpoint, so that whoever has the same entries has the same
//! state. [`FileJournal`] keeps them in the state directory of one edge. The trait fits a store that many edges
//! share, too: an append names the head that it was made for, and is refused when the head has moved.

mod error;
mod file;

pub use error::{AppendError, JournalError};
pub use file::FileJournal;

/// A change with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<C> {
    /// Its place in the journal. The first has number 1, and each other one the number after that before it.
    pub number: u64,
    /// When it was made, in milliseconds since 1970: the clock of everything that follows from it.
    pub unix_ms: u64,
    /// What it changes.
    pub change: C,
}

/// What a journal holds when it is opened: the newest checkpoint, and what came after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<S, C> {
    /// The number of the last entry in `state`; 0 before the first.
    pub number: u64,
    /// The state after that entry.
    pub state: S,
    /// All entries after it.
    pub entries: Vec<Entry<C>>,
}

/// Entries of changes `C`, and checkpoints of the state `S` that they make. All calls block.
pub trait Journal<S, C> {
    /// The number of the last entry that this journal has read or appended; 0 before the first.
    fn head(&self) -> u64;

    /// Appends entries behind number `after`: all of them or, also after a crash, none. When this returns, they are
    /// durable.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]: it says whether the journal is as before.
    fn append(&mut self, after: u64, entries: &[Entry<C>]) -> Result<(), AppendError>;

    /// All entries from `number` on.
    ///
    /// # Errors
    ///
    /// [`JournalError::Compacted`] when they begin before the oldest that is kept, and when the journal cannot be
    /// read.
    fn read_from(&mut self, number: u64) -> Result<Vec<Entry<C>>, JournalError>;

    /// Whether so much came after the newest checkpoint that a new one should be made. Not while one is being made.
    fn wants_checkpoint(&self) -> bool;

    /// Begins a checkpoint of the state after entry `number`, which must be the head. This takes about as long as an
    /// append. The state itself may be written on another thread, and entries be appended meanwhile.
    ///
    /// # Errors
    ///
    /// When `number` is not the head, and when the journal cannot be written. It goes on as before.
    fn begin_checkpoint(
        &mut self,
        number: u64,
    ) -> Result<Box<dyn PendingCheckpoint<S>>, JournalError>;

    /// Makes a checkpoint here and now: of `state`, which is the one after entry `number`, the head.
    ///
    /// # Errors
    ///
    /// When `number` is not the head, and when the journal cannot be written. It goes on as before.
    fn checkpoint(&mut self, number: u64, state: &S) -> Result<(), JournalError> {
        self.begin_checkpoint(number)?.write(state)
    }

    /// What was wrong when the journal was opened; for the log and for `lbctl status`.
    fn warnings(&self) -> &[String];
}

/// A checkpoint that waits for its state. Dropped without it, it changes nothing.
pub trait PendingCheckpoint<S>: Send {
    /// The number of the last entry in the state that it waits for.
    fn number(&self) -> u64;

    /// Writes the state. When this returns, it is durable, and entries that no checkpoint needs any more are gone.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written. The checkpoint before it still counts.
    fn write(self: Box<Self>, state: &S) -> Result<(), JournalError>;
}
