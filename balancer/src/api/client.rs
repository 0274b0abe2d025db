//! The operator's end of the control interface.

use std::{
    fmt, io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, body::Bytes, header};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::{
    net::UnixStream,
    time::{sleep, timeout},
};

use super::{
    replies::{ChangeReply, ErrorCode, ErrorReply, ListReply},
    requests::{BackendBody, DesiredBody, ServiceBody, WeightBody},
    views::{BackendView, ServiceView, StatusView},
};
use crate::model::{ServiceName, Weight};

/// How long one question may take, from the connection to the whole answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer that is read, in bytes.
const ANSWER_LIMIT_BYTES: usize = 256 << 20;

/// How long to wait when the daemon has as many connections waiting as it may.
const CROWDED: Duration = Duration::from_millis(10);

/// Asks one daemon; every question has its own connection.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    timeout: Duration,
}

/// How a change is to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct How {
    /// Work out the outcome only.
    pub dry_run: bool,
    /// Even where a safety rule forbids it.
    pub force: bool,
    /// Removals only: at once, without draining.
    pub now: bool,
}

/// Why there is no good answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("lbd does not answer on {}: {source}; is it running? (systemctl status lbd)", socket.display())]
    Unreachable {
        /// The socket asked.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The socket is not ours to use.
    #[error("may not use {}: permission denied; run lbctl as root or as a member of the socket's group", socket.display())]
    Forbidden {
        /// The socket asked.
        socket: PathBuf,
    },
    /// The daemon took too long.
    #[error(
        "lbd on {} did not answer within {} s; a change may or may not have been made: look with `lbctl status`",
        socket.display(),
        timeout.as_secs_f32()
    )]
    TimedOut {
        /// The socket asked.
        socket: PathBuf,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// The daemon said no; the message is its own.
    #[error("{error}")]
    Refused {
        /// What kind of error it is.
        code: ErrorCode,
        /// Its sentence.
        error: String,
    },
    /// The answer is none of this interface's.
    #[error("the answer on {} makes no sense: {why}; are lbctl and lbd of the same version?", socket.display())]
    Garbled {
        /// The socket asked.
        socket: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl ClientError {
    /// What it means that there is no connection.
    pub(super) fn without_connection(socket: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Forbidden { socket },
            _ => Self::Unreachable { socket, source },
        }
    }

    /// The exit code of `lbctl` that goes with it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } | Self::Forbidden { .. } => 3,
            Self::TimedOut { .. } => 8,
            Self::Refused { code, .. } => code.exit_code(),
            Self::Garbled { .. } => 1,
        }
    }
}

type Answer<T> = Result<T, ClientError>;

impl Client {
    /// A client of the daemon on this socket.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            timeout: TIMEOUT,
        }
    }

    /// The same with another limit for each question; 10 s by default.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The socket that is asked.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The edge as a whole: one item.
    pub async fn status(&self) -> Answer<ListReply<StatusView>> {
        self.get("/v1/status").await
    }

    /// Every service.
    pub async fn services(&self) -> Answer<ListReply<ServiceView>> {
        self.get("/v1/services").await
    }

    /// The backends of one service, or of all.
    pub async fn backends(&self, service: Option<&ServiceName>) -> Answer<ListReply<BackendView>> {
        match service {
            Some(name) => self.get(&format!("/v1/backends?service={name}")).await,
            None => self.get("/v1/backends").await,
        }
    }

    /// Adds a service.
    pub async fn add_service(&self, service: &ServiceBody, how: How) -> Answer<ChangeReply> {
        self.send(Method::POST, "/v1/services", how, Some(service))
            .await
    }

    /// Removes a service.
    pub async fn remove_service(&self, name: &ServiceName, how: How) -> Answer<ChangeReply> {
        self.send(
            Method::DELETE,
            &format!("/v1/services/{name}"),
            how,
            NO_BODY,
        )
        .await
    }

    /// Adds a backend, or takes a draining one back.
    pub async fn add_backend(
        &self,
        service: &ServiceName,
        backend: &BackendBody,
        how: How,
    ) -> Answer<ChangeReply> {
        self.send(
            Method::POST,
            &format!("/v1/services/{service}/backends"),
            how,
            Some(backend),
        )
        .await
    }

    /// Drains a backend and removes it when its drain ends, or removes it now.
    pub async fn remove_backend(
        &self,
        service: &ServiceName,
        address: IpAddr,
        how: How,
    ) -> Answer<ChangeReply> {
        self.send(Method::DELETE, &backend(service, address), how, NO_BODY)
            .await
    }

    /// Takes new flows away from a backend.
    pub async fn drain(
        &self,
        service: &ServiceName,
        address: IpAddr,
        how: How,
    ) -> Answer<ChangeReply> {
        self.send(
            Method::POST,
            &format!("{}/drain", backend(service, address)),
            how,
            NO_BODY,
        )
        .await
    }

    /// Gives a backend another weight.
    pub async fn set_weight(
        &self,
        service: &ServiceName,
        address: IpAddr,
        weight: Weight,
        how: How,
    ) -> Answer<ChangeReply> {
        let path = format!("{}/weight", backend(service, address));
        self.send(Method::PUT, &path, how, Some(&WeightBody { weight }))
            .await
    }

    /// Makes these the services, and no others.
    pub async fn apply(&self, services: Vec<ServiceBody>, how: How) -> Answer<ChangeReply> {
        let body = DesiredBody {
            services,
            force: how.force,
            dry_run: how.dry_run,
        };
        self.send(Method::PUT, "/v1/desired", How::default(), Some(&body))
            .await
    }

    /// Takes the XDP program off the interface.
    pub async fn detach(&self, how: How) -> Answer<ChangeReply> {
        self.send(Method::POST, "/v1/detach", how, NO_BODY).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.send(Method::GET, path, How::default(), NO_BODY).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        how: How,
        body: Option<&impl Serialize>,
    ) -> Answer<T> {
        let body = match body {
            Some(body) => serde_json::to_vec(body).map_err(|error| self.garbled(error))?,
            None => Vec::new(),
        };
        let (ok, answer) = self.exchange(method, &format!("{path}{how}"), body).await?;
        if ok {
            return serde_json::from_slice(&answer).map_err(|error| self.garbled(error));
        }
        let ErrorReply { error, code, .. } =
            serde_json::from_slice(&answer).map_err(|error| self.garbled(error))?;
        Err(ClientError::Refused { code, error })
    }

    /// One request and its whole answer, with whether it is a good one.
    async fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> Answer<(bool, Bytes)> {
        timeout(self.timeout, async {
            let stream = self.connect().await?;
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(header::HOST, "lbd")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Full::new(Bytes::from(body)))
                .map_err(|error| self.garbled(error))?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .map_err(|error| self.garbled(error))?;
            let driver = tokio::spawn(connection);
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| self.garbled(error))?;
            let ok = response.status().is_success();
            let answer = Limited::new(response.into_body(), ANSWER_LIMIT_BYTES)
                .collect()
                .await;
            driver.abort();
            Ok((ok, answer.map_err(|error| self.garbled(error))?.to_bytes()))
        })
        .await
        .unwrap_or_else(|_| {
            Err(ClientError::TimedOut {
                socket: self.socket.clone(),
                timeout: self.timeout,
            })
        })
    }

    async fn connect(&self) -> Answer<UnixStream> {
        loop {
            let socket = self.socket.clone();
            match UnixStream::connect(&socket).await {
                Ok(stream) => return Ok(stream),
                // The kernel's queue of waiting connections is full; the caller's limit ends this.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(CROWDED).await,
                Err(source) => return Err(ClientError::without_connection(socket, source)),
            }
        }
    }

    fn garbled(&self, why: impl fmt::Display) -> ClientError {
        ClientError::Garbled {
            socket: self.socket.clone(),
            why: why.to_string(),
        }
    }
}

const NO_BODY: Option<&()> = None;

fn backend(service: &ServiceName, address: IpAddr) -> String {
    format!("/v1/services/{service}/backends/{address}")
}

/// As the query of a path that has none yet: nothing, or `?force=true&dry_run=true`.
impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            ("now", self.now),
            ("force", self.force),
            ("dry_run", self.dry_run),
        ];
        for (nth, (flag, _)) in flags.into_iter().filter(|(_, set)| *set).enumerate() {
            write!(f, "{}{flag}=true", if nth == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}
