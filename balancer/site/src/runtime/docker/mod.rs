//! Docker's engine, over its unix socket (API 1.41, which Debian's docker.io speaks).
//!
//! An instance's first container owns the network namespace, and the others join it. The engine keeps everything:
//! labels say what a container is a part of, and the first one's name ends with the number of restarts, because a
//! container's labels never change.

mod container;
mod image;
mod launch;
mod logs;
mod network;
mod observe;

use std::sync::Arc;

use bollard::{ClientVersion, errors::Error};
use futures::{FutureExt, future::BoxFuture, stream::BoxStream};
use tokio::sync::Mutex;

use balancer_config::HostNetwork;

use super::{InstanceSpec, LogLine, Observed, Runtime, RuntimeError};

/// The oldest API that everything here is part of.
const API: ClientVersion = ClientVersion {
    major_version: 1,
    minor_version: 41,
};

/// How long the engine may be silent, in seconds: longer than the slowest answer, a stop.
const TIMEOUT_SECONDS: u64 = 120;

/// A host's engine.
#[derive(Clone)]
pub struct Docker {
    client: bollard::Docker,
    /// The socket, for people.
    engine: String,
    network: HostNetwork,
    /// Held while the network is looked for and made.
    making_network: Arc<Mutex<()>>,
}

impl Docker {
    /// An engine by its socket, `unix:/path/docker.sock`, whose instances get addresses of `network`.
    ///
    /// # Errors
    ///
    /// When there is no such socket.
    pub fn connect(engine: &str, network: HostNetwork) -> Result<Self, RuntimeError> {
        let path = engine.strip_prefix("unix:").unwrap_or(engine);
        let path = format!("/{}", path.trim_start_matches('/'));
        let client = bollard::Docker::connect_with_unix(&path, TIMEOUT_SECONDS, &API);
        let client = client.map_err(|error| RuntimeError::NoEngine {
            engine: engine.to_owned(),
            reason: match error {
                Error::SocketNotFoundError(path) => format!("there is no socket {path}"),
                other => other.to_string(),
            },
        })?;
        Ok(Self {
            client,
            engine: engine.to_owned(),
            network,
            making_network: Arc::default(),
        })
    }

    /// For `map_err` on what the engine was asked.
    fn refused<'a>(
        &'a self,
        what: impl Into<String> + 'a,
    ) -> impl FnOnce(Error) -> RuntimeError + 'a {
        move |error| match error {
            Error::DockerResponseServerError { message, .. } => RuntimeError::Engine {
                what: what.into(),
                reason: message,
            },
            Error::HyperLegacyError { .. }
            | Error::HyperResponseError { .. }
            | Error::RequestTimeoutError => RuntimeError::NoEngine {
                engine: self.engine.clone(),
                reason: error.to_string(),
            },
            other => RuntimeError::Engine {
                what: what.into(),
                reason: other.to_string(),
            },
        }
    }
}

/// Whether the engine says that there is no such thing.
fn is_missing(error: &Error) -> bool {
    matches!(
        error,
        Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

impl Runtime for Docker {
    fn kind(&self) -> &'static str {
        "docker"
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Observed>, RuntimeError>> {
        self.observe_all().boxed()
    }

    fn launch<'a>(&'a self, spec: &'a InstanceSpec) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.launch_instance(spec).boxed()
    }

    fn restart<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.restart_instance(name).boxed()
    }

    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.remove_instance(name).boxed()
    }

    fn prepare_image<'a>(
        &'a self,
        image: &'a str,
        context: Option<Vec<u8>>,
    ) -> BoxStream<'a, Result<String, RuntimeError>> {
        self.prepare(image, context)
    }

    fn logs<'a>(
        &'a self,
        name: &'a str,
        tail: Option<usize>,
        follow: bool,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError>>
    {
        self.read_logs(name, tail, follow).boxed()
    }

    fn cpu_ns<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, RuntimeError>> {
        self.cpu_of(name).boxed()
    }
}
