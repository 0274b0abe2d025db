//! What the faces ask of the daemon.

use thiserror::Error;
use tokio::sync::{oneshot, watch};

use super::views::{Board, Snapshot};
use crate::state::{Change, Outcome, Refusal};

/// One thing asked of the task that owns the state; each carries the way back for its answer.
///
/// A reply that is dropped unsent tells the asker that the daemon stopped.
#[derive(Debug)]
pub enum Command {
    /// Change the desired state.
    Change {
        /// What to change.
        change: Change,
        /// Work out the outcome only; leave state, file and maps alone.
        dry_run: bool,
        /// Where the outcome goes once the data plane has it.
        reply: oneshot::Sender<Result<Outcome, ChangeError>>,
    },
    /// Let the drains be followed.
    Operations {
        /// Where the board goes that the drains are posted on, now and when they change.
        reply: oneshot::Sender<watch::Receiver<Board>>,
    },
    /// Show everything.
    Snapshot {
        /// Where the snapshot goes.
        reply: oneshot::Sender<Snapshot>,
    },
    /// Take the XDP program off the interface.
    Detach {
        /// Where the outcome goes; the error is a sentence.
        reply: oneshot::Sender<Result<(), String>>,
    },
}

/// Why a change was not made.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// The change itself is at fault.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The edge could not persist the change, so nothing changed; the sentence says why.
    #[error("{0}")]
    Failed(String),
    /// The change is persisted but not in the maps yet; the sentence says why, and that it is tried again.
    #[error("{0}")]
    Partly(String),
}
