//! What can be wrong with the state directory.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Why a state directory could not be opened, read or written.
#[derive(Debug, Error)]
pub enum StateDirError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}; check its permissions and free space", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another daemon has the directory open.
    #[error(
        "another lbd (process {holder}) uses {}: stop it first, or give this one a state directory of its own \
         (`state_dir` of an edge, --state-dir of a site)",
        dir.display()
    )]
    InUse {
        /// The state directory.
        dir: PathBuf,
        /// The other's process id, as it wrote it.
        holder: String,
    },
    /// Neither a sealed file nor the one before it is whole.
    #[error(
        "no whole {name} is left in {}: `{name}` is {current}, `{name}.previous` is {previous}; put back a copy, or \
         {remedy}",
        dir.display()
    )]
    Damaged {
        /// The state directory.
        dir: PathBuf,
        /// The file's name.
        name: &'static str,
        /// What is wrong with it.
        current: String,
        /// What is wrong with the one before it.
        previous: String,
        /// How to start without both, and at what price.
        remedy: &'static str,
    },
    /// A newer lbd wrote the file.
    #[error(
        "{} has schema version {version}, and this lbd knows versions up to {known}: run the newer lbd again, or \
         move the file away to start without what was changed since (connections will move)",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        version: u32,
        /// The newest version that this program knows.
        known: u32,
    },
}

impl StateDirError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateDirError {
        let path = path.to_owned();
        move |source| StateDirError::Io {
            action,
            path,
            source,
        }
    }
}
