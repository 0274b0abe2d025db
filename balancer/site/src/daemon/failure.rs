//! Why `lbd site` did not start, and the exit code that says so.

use std::path::PathBuf;

use balancer_config::ConfigError;
use balancer_host::{
    exit_code::{self, CONFIGURATION, ERROR},
    state_dir::StateDirError,
};
use thiserror::Error;

use crate::runtime::RuntimeError;

/// Why the daemon did not start.
#[derive(Debug, Error)]
pub enum Failure {
    /// The fleet file or the state directory can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The fleet file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The fleet file has no site for the city.
    #[error("{}: no site for {city}; there are: {cities}", fleet.display())]
    NoSite {
        /// The fleet file.
        fleet: PathBuf,
        /// The city that was asked for.
        city: String,
        /// Those that it has.
        cities: String,
    },
    /// The runtime of instances refuses.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The state directory is damaged or in use.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// A socket can't be opened.
    #[error("{0}")]
    Socket(#[from] std::io::Error),
}

impl Failure {
    /// The process's exit code: 1 error, 2 configuration, 5 another daemon runs, 9 no permission.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreadable { .. } | Self::Config(_) | Self::NoSite { .. } => CONFIGURATION,
            Self::StateDir(error) => exit_code::of_state_dir(error),
            Self::Runtime(_) | Self::Socket(_) => ERROR,
        }
    }
}
