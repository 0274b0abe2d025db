//! What the faces ask of the daemon.

use std::sync::Arc;

use balancer_core::state::{Change, Outcome, Refusal};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use super::{drain_status::DrainStatus, views::Snapshot};

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
    /// Announce no VIP until further notice, or announce them again; packets are balanced meanwhile.
    DrainEdge {
        /// Whether the edge is to be drained.
        drained: bool,
        /// Work out the outcome only.
        dry_run: bool,
        /// Where the outcome goes once it is saved.
        reply: oneshot::Sender<Result<Outcome, ChangeError>>,
    },
    /// Take the XDP program off the interface.
    Detach {
        /// Where the outcome goes; the error is a sentence.
        reply: oneshot::Sender<Result<(), String>>,
    },
}

/// One thing to be shown, which takes nothing from the task that owns the state; carries the way back for its answer.
///
/// A reply that is dropped unsent tells the asker that the daemon stopped.
#[derive(Debug)]
pub enum Look {
    /// Show everything.
    Snapshot {
        /// Where the snapshot goes, which others may get, too.
        reply: oneshot::Sender<Arc<Snapshot>>,
    },
    /// Let the drains be followed.
    Operations {
        /// Where the status of the drains goes, now and when it changes.
        reply: oneshot::Sender<watch::Receiver<DrainStatus>>,
    },
}

/// The ways to a daemon: to the task that owns the state, and to who shows it.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// To the owner of the state.
    pub commands: mpsc::Sender<Command>,
    /// To who shows it.
    pub looks: mpsc::Sender<Look>,
}

impl Daemon {
    /// Sends a command and waits for its reply; `None` when the daemon is stopping.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Everything that the daemon shows; `None` when it is stopping.
    pub async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let (reply, answer) = oneshot::channel();
        self.looks.send(Look::Snapshot { reply }).await.ok()?;
        answer.await.ok()
    }

    /// The status of the drains; `None` when the daemon is stopping.
    pub(crate) async fn operations(&self) -> Option<watch::Receiver<DrainStatus>> {
        let (reply, answer) = oneshot::channel();
        self.looks.send(Look::Operations { reply }).await.ok()?;
        answer.await.ok()
    }
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
