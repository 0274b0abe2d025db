//! What the faces ask of `lbd site`.

use axum::body::Bytes;
use balancer_core::model::Label;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::{requests::WorkloadBody, views::SiteView};

/// One thing asked of the task that owns a site's state; each carries the way back for its answer.
///
/// A reply that is dropped unsent tells the asker that the daemon stopped.
#[derive(Debug)]
pub enum SiteCommand {
    /// This workload is to run, as it is here, from now on. Idempotent.
    PutWorkload {
        /// What is to run; boxed, because the other commands are small.
        body: Box<WorkloadBody>,
        /// Whether it was taken and persisted.
        reply: oneshot::Sender<Result<(), SiteRefusal>>,
    },
    /// This workload is to go: drained, then removed. Idempotent while it goes; not found afterwards.
    DeleteWorkload {
        /// Which.
        slug: Label,
        /// Whether it was taken and persisted.
        reply: oneshot::Sender<Result<(), SiteRefusal>>,
    },
    /// Show everything.
    Snapshot {
        /// Where it goes.
        reply: oneshot::Sender<SiteView>,
    },
    /// Have an image ready: from the runtime's store, built from a context, or pulled.
    PrepareImage {
        /// Its name, as the runtime knows it.
        image: String,
        /// A tar of the directory to build it from; `None` to do without.
        context: Option<Bytes>,
        /// Lines of progress; the last item is an error if it failed. Closed at the end.
        progress: mpsc::Sender<Result<String, String>>,
    },
    /// Read what instances wrote.
    Logs {
        /// Of which workload.
        slug: Label,
        /// Of which instance; of all if `None`.
        instance: Option<String>,
        /// Only so many lines of each, the newest.
        tail: Option<usize>,
        /// Whether to go on until the receiver is dropped.
        follow: bool,
        /// Whether there is such a workload and instance; the lines come afterwards.
        reply: oneshot::Sender<Result<mpsc::Receiver<InstanceLine>, SiteRefusal>>,
    },
}

/// A line that an instance wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceLine {
    /// The instance's name.
    pub instance: String,
    /// The container's name.
    pub container: String,
    /// The line, without its end.
    pub text: String,
}

/// Why a site did not do as it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SiteRefusal {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// Another workload has what this one asks for.
    #[error("{0}")]
    Conflict(String),
    /// It breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// It could not be persisted, so nothing changed.
    #[error("{0}")]
    Failed(String),
}
