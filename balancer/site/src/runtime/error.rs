//! Why a runtime could not do what it was asked.

use std::{io, path::PathBuf};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine does not answer.
    #[error(
        "no container engine answers at {engine}: {reason}; start it, or correct `engine` of this host"
    )]
    NoEngine {
        /// The socket.
        engine: String,
        /// What was said.
        reason: String,
    },
    /// The engine refused.
    #[error("{what}: the container engine says: {reason}")]
    Engine {
        /// What was asked of it.
        what: String,
        /// Its words.
        reason: String,
    },
    /// The image is neither in the store nor to be had.
    #[error(
        "image {image}: {reason}; build it with a Dockerfile beside the workload, or name an image that exists"
    )]
    NoImage {
        /// Its name.
        image: String,
        /// Why not.
        reason: String,
    },
    /// A build failed.
    #[error("image {image}: the build failed: {reason}")]
    Build {
        /// Its name.
        image: String,
        /// The builder's words.
        reason: String,
    },
    /// A command that is no program.
    #[error("instance {instance}, container {container}: cannot run {program:?}: {reason}")]
    NoCommand {
        /// Whose.
        instance: String,
        /// Which.
        container: String,
        /// The first word of the command.
        program: String,
        /// Why not.
        reason: String,
    },
    /// A specification that no runtime takes.
    #[error("instance {instance:?}: {reason}")]
    Spec {
        /// Whose.
        instance: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The name belongs to another specification.
    #[error("an instance {instance} of another specification exists: remove it first")]
    Exists {
        /// The name.
        instance: String,
    },
    /// Nothing of this name.
    #[error("there is no instance {instance}")]
    NoInstance {
        /// The name.
        instance: String,
    },
    /// A network that is there is another than the described one.
    #[error(
        "the network of bridge {bridge} exists and differs: {what}; remove it, or describe it as it is"
    )]
    OtherNetwork {
        /// The bridge.
        bridge: String,
        /// What differs.
        what: String,
    },
    /// All addresses are taken.
    #[error("no address is left in {subnet}: remove instances, or give the host a wider subnet")]
    NoAddress {
        /// Where none is left.
        subnet: String,
    },
    /// The kernel refused something of the network.
    #[error("{what}: {source}")]
    Kernel {
        /// What was asked of it.
        what: String,
        /// What it said.
        source: io::Error,
    },
    /// A file or directory.
    #[error("{what} {}: {source}", path.display())]
    File {
        /// What was done with it.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A record of an instance that cannot be read.
    #[error("{} is no record of an instance: {reason}; remove its directory once nothing of it runs", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The supervisor of a container did not start.
    #[error("instance {instance}, container {container}: its supervisor did not start: {reason}")]
    Supervisor {
        /// Whose.
        instance: String,
        /// Which.
        container: String,
        /// What it said.
        reason: String,
    },
}

impl RuntimeError {
    /// For `map_err` on what was done with a path.
    pub(super) fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }

    /// For `map_err` on what was asked of the kernel.
    pub(super) fn kernel(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Kernel { what, source }
    }
}
