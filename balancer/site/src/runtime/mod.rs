//! Where instances run: one interface, [`Runtime`], before Docker's engine and before a runtime of our own.
//!
//! An instance is one or more containers that share a network namespace, with addresses of the host's network. What
//! a runtime knows of it is in the runtime: labels in the engine, files in a state directory. Whoever asks again
//! after a restart finds every instance.

mod builtin;
mod docker;
mod error;
mod instance;

use futures::{future::BoxFuture, stream::BoxStream};

pub use builtin::{Builtin, supervise};
pub use docker::Docker;
pub use error::RuntimeError;
pub use instance::{InstanceSpec, LogLine, Observed, State};

/// A host's runtime of instances.
///
/// Every call may be made again after it failed or was interrupted. Calls for one instance are made one after the
/// other; calls for different instances may run at the same time.
pub trait Runtime: Send + Sync {
    /// `docker` or `builtin`.
    fn kind(&self) -> &'static str;

    /// Every instance that this runtime was told to launch and not told to remove, in order of names.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Observed>, RuntimeError>>;

    /// Makes and starts an instance. Makes the host's network first if it is missing.
    ///
    /// An instance of this name and this specification that was started before is left as it is, also when it has
    /// ended. What an interrupted launch left is cleaned, and the instance is made anew.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Exists`] when the name is taken by another specification; [`RuntimeError::NoImage`] and
    /// [`RuntimeError::NoCommand`] when there is nothing to run. Nothing stays behind then.
    fn launch<'a>(&'a self, spec: &'a InstanceSpec) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Ends what still runs of an instance, and starts all its containers again, at the same address, with the same
    /// logs. Counts as one restart.
    fn restart<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Ends an instance and removes everything of it: SIGTERM, and after [`GRACE_SECONDS`] SIGKILL. Does nothing
    /// when there is none.
    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Sees to it that an image can be launched: takes it from the store, else builds it from `context` (a tar with
    /// a `Dockerfile`), else pulls it. Yields progress for people; done when the stream has ended without an error.
    fn prepare_image<'a>(
        &'a self,
        image: &'a str,
        context: Option<Vec<u8>>,
    ) -> BoxStream<'a, Result<String, RuntimeError>>;

    /// What an instance's containers wrote, standard output and errors: the last `tail` lines of each (all if
    /// `None`), and then, with `follow`, what they write from now on, across restarts, until the instance is removed.
    fn logs<'a>(
        &'a self,
        name: &'a str,
        tail: Option<usize>,
        follow: bool,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError>>;

    /// CPU time that an instance's containers have used, in nanoseconds. It never falls while they run; a restart may
    /// begin it anew at 0.
    fn cpu_ns<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, RuntimeError>>;
}

/// How long an instance has to end by itself after SIGTERM, in seconds.
pub const GRACE_SECONDS: u32 = 3;

/// The most that is kept of a container's log, in bytes: two files of half of it.
const LOG_BYTES: u64 = 16 * 1024 * 1024;
