//! Requests to the daemon, as bytes: the bench asks daemons of other builds than its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};

/// Where a daemon listens.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// A connection that is kept between requests, and made anew when it is gone.
pub(crate) struct Connection {
    place: Place,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    pub(crate) fn new(place: Place) -> Connection {
        Connection {
            place,
            sender: None,
        }
    }

    /// Connects, if need be.
    pub(crate) async fn open(&mut self) -> Result<&mut SendRequest<Full<Bytes>>> {
        if self.sender.as_ref().is_none_or(SendRequest::is_closed) {
            self.sender = Some(match &self.place {
                Place::Unix(path) => {
                    let stream = UnixStream::connect(path).await;
                    let stream =
                        stream.with_context(|| format!("cannot reach {}", path.display()))?;
                    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                    drop(tokio::spawn(connection));
                    sender
                }
                Place::Tcp(address) => {
                    let stream = TcpStream::connect(address).await;
                    let stream = stream.with_context(|| format!("cannot reach {address}"))?;
                    stream.set_nodelay(true)?;
                    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                    drop(tokio::spawn(connection));
                    sender
                }
            });
        }
        let sender = self.sender.as_mut().context("just made")?;
        sender.ready().await?;
        Ok(sender)
    }

    /// One request and its whole answer; any status but 2xx is an error.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        content: &str,
        body: String,
    ) -> Result<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "lbd")
            .header(header::CONTENT_TYPE, content)
            .body(Full::new(Bytes::from(body)))?;
        let response = self.open().await?.send_request(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        ensure!(
            status.is_success(),
            "{path}: {status}: {}",
            String::from_utf8_lossy(&answer)
        );
        Ok(answer)
    }

    /// What a list of the control interface holds.
    pub(crate) async fn items(&mut self, path: &str) -> Result<Vec<Value>> {
        let answer = self
            .ask(Method::GET, path, "application/json", String::new())
            .await?;
        let mut reply: Value = serde_json::from_slice(&answer)?;
        match reply["items"].take() {
            Value::Array(items) => Ok(items),
            other => anyhow::bail!("{path}: no items but {other}"),
        }
    }
}

/// Runs a future on a runtime of the calling thread.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(future)
}
