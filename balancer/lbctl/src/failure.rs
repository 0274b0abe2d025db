//! Why a command did not work, and the exit code for it.

use std::{io, net::IpAddr, path::PathBuf};

use balancer_config::ConfigError;
use balancer_core::model::ServiceName;
use thiserror::Error;

use balancer_api::client::ClientError;

/// Why a command did not work.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("cannot write into {}: {source}; does the directory exist?", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error(
        "{service}: backend {address} is still there after {seconds} s; it goes when its drain ends, or now with `--now`"
    )]
    StillThere {
        service: ServiceName,
        address: IpAddr,
        seconds: u64,
    },
    #[error("{0}")]
    Token(io::Error),
    #[error(
        "VIPs are still announced after {seconds} s; `lbctl edge status` shows which, and what the speaker says"
    )]
    StillAnnounced { seconds: u32 },
    /// Sentences about files, sites or workloads, a line each.
    #[error("{0}")]
    Workload(String),
    #[error("{0}")]
    SiteUnreachable(String),
    #[error("{0}")]
    NothingThere(String),
    #[error("{0}")]
    NotConfirmed(String),
    #[error(
        "process {holder} is applying or destroying here ({}): wait until it has ended",
        path.display()
    )]
    Locked { path: PathBuf, holder: String },
    #[error(
        "not there yet after {seconds} s; it goes on by itself, and `lbctl workload apply` waits again:\n{missing}"
    )]
    NotThereYet { seconds: u64, missing: String },
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Client(error) => error.exit_code(),
            Self::StillThere { .. } | Self::StillAnnounced { .. } => 8,
            Self::SiteUnreachable(_) => 3,
            Self::NothingThere(_) => 4,
            Self::Locked { .. } => 5,
            Self::NotConfirmed(_) => 6,
            Self::NotThereYet { .. } => 8,
            Self::Output(_) if self.is_quiet() => 0,
            Self::Config(_)
            | Self::Token(_)
            | Self::Workload(_)
            | Self::Unreadable { .. }
            | Self::Unwritable { .. }
            | Self::Output(_) => 1,
        }
    }

    /// Whether it is only that the reader, such as `head`, has read enough.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
