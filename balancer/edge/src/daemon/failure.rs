//! Why a daemon of an edge or an agent did not start, and the exit code that says so.

use std::path::PathBuf;

use balancer_config::ConfigError;
use balancer_core::state::Refusal;
use balancer_host::{
    exit_code::{self, CONFIGURATION, ERROR, IN_USE, NO_PERMISSION},
    journal::{AppendError, JournalError},
    netns::NetnsError,
    state_dir::StateDirError,
};
use thiserror::Error;

use crate::{announce::AnnounceError, dataplane::DataplaneError, nexthop::NextHopError};

/// Why a daemon did not start.
#[derive(Debug, Error)]
pub enum Failure {
    /// The configuration file or the state directory can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration's services are refused.
    #[error("the services of the configuration are refused: {0}")]
    Refused(#[from] Refusal),
    /// The interface carries the host's default route.
    #[error(
        "{interface} carries the default route: a fault there would cut the host off. If that is what you want, set `allow_default_route_interface = true`"
    )]
    DefaultRoute {
        /// The interface.
        interface: String,
    },
    /// Routes and interfaces can't be read, or the interface is missing.
    #[error(transparent)]
    NextHop(#[from] NextHopError),
    /// An instance's network namespace can't be entered or changed.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// What was announced can't be read.
    #[error(transparent)]
    Announce(#[from] AnnounceError),
    /// The guard has nothing to guard.
    #[error("{} has no section [announce], so there is nothing to guard: add one, or do not run the guard", path.display())]
    NothingToGuard {
        /// The file.
        path: PathBuf,
    },
    /// The journal is damaged, or can't be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What the configuration changes can't be recorded.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// An entry of the journal can't be carried out.
    #[error(
        "entry {number} of the journal cannot be carried out: {refusal}; run the lbd that wrote it again, and report this"
    )]
    Entry {
        /// Which.
        number: u64,
        /// Why.
        refusal: Refusal,
    },
    /// The state directory is damaged or in use.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The kernel side refuses.
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
    /// A socket can't be opened.
    #[error("{0}")]
    Socket(#[from] std::io::Error),
}

impl Failure {
    /// Whether rights are missing.
    pub(super) fn is_denied(&self) -> bool {
        self.exit_code() == NO_PERMISSION
    }

    /// The process's exit code: 1 error, 2 configuration, 4 a missing interface, 5 another daemon
    /// runs, 6 refused by a safety rule, 9 no permission, 10 the kernel is too old.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreadable { .. }
            | Self::Config(_)
            | Self::Refused(_)
            | Self::NothingToGuard { .. } => CONFIGURATION,
            Self::NextHop(NextHopError::NoInterface { .. }) => 4,
            Self::StateDir(error) => exit_code::of_state_dir(error),
            Self::Netns(NetnsError::Denied { .. }) => NO_PERMISSION,
            Self::DefaultRoute { .. } => 6,
            Self::Dataplane(error) => match error {
                DataplaneError::InUse { .. } => IN_USE,
                DataplaneError::OtherProgram { .. } => 6,
                DataplaneError::Permission => NO_PERMISSION,
                DataplaneError::OldKernel { .. } => 10,
                _ => ERROR,
            },
            _ => ERROR,
        }
    }
}
