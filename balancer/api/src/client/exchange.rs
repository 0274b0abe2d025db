//! One request and its answer.

use std::{fmt, io, time::Duration};

use balancer_core::model::Endpoint;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    header,
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{Answer, ChangeOptions, Client, ClientError};
use crate::{
    BODY_LIMIT_BYTES,
    replies::{ErrorCode, ErrorReply},
};

/// The largest answer that is read, in bytes.
const ANSWER_LIMIT_BYTES: usize = 256 << 20;

/// How long to wait when the daemon has as many connections waiting as it may.
const CROWDED: Duration = Duration::from_millis(10);

/// Requests that need none have no body.
pub(crate) const NO_BODY: Option<&()> = None;

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Client {
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.send(Method::GET, path, ChangeOptions::default(), NO_BODY)
            .await
    }

    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        options: ChangeOptions,
        body: Option<&impl Serialize>,
    ) -> Answer<T> {
        let body = match body {
            Some(body) => serde_json::to_vec(body).map_err(|error| self.garbled(error))?,
            None => Vec::new(),
        };
        if body.len() > BODY_LIMIT_BYTES {
            return Err(too_large(body.len()));
        }
        self.answer(
            method,
            &format!("{path}{options}"),
            "application/json",
            body,
        )
        .await
    }

    /// One request with a body of any kind, and the answer as JSON.
    pub(crate) async fn answer<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: Vec<u8>,
    ) -> Answer<T> {
        let (ok, answer) = self.exchange(method, path, content, body).await?;
        if ok {
            return serde_json::from_slice(&answer).map_err(|error| self.garbled(error));
        }
        let ErrorReply { error, code, .. } =
            serde_json::from_slice(&answer).map_err(|error| self.garbled(error))?;
        Err(ClientError::Refused { code, error })
    }

    /// One request and its whole answer, with whether it is a good one.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: Vec<u8>,
    ) -> Answer<(bool, Bytes)> {
        timeout(self.timeout, async {
            let (response, driver) = self.open(method, path, content, body).await?;
            let ok = response.status().is_success();
            let answer = Limited::new(response.into_body(), ANSWER_LIMIT_BYTES)
                .collect()
                .await;
            driver.abort();
            Ok((ok, answer.map_err(|error| self.garbled(error))?.to_bytes()))
        })
        .await
        .unwrap_or_else(|_| Err(self.timed_out()))
    }

    /// One request, whose answer comes line by line and may never end; the client's limit is for its beginning.
    pub(crate) async fn lines(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: Vec<u8>,
    ) -> Answer<Lines> {
        let opened = timeout(self.timeout, self.open(method, path, content, body)).await;
        let (response, driver) = opened.unwrap_or_else(|_| Err(self.timed_out()))?;
        let lines = Lines {
            client: self.clone(),
            success: response.status().is_success(),
            body: response.into_body(),
            read: Vec::new(),
            driver,
        };
        if lines.success {
            return Ok(lines);
        }
        Err(lines.refusal().await)
    }

    /// One request and the head of its answer; the task drives the connection.
    async fn open(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: Vec<u8>,
    ) -> Answer<(Response<Incoming>, JoinHandle<hyper::Result<()>>)> {
        let stream = self.connect().await?;
        let authority = self.endpoint.authority();
        let host = authority.as_deref().unwrap_or("lbd");
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, content);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token.header());
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| self.garbled(error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(|error| self.garbled(error))?;
        let driver = tokio::spawn(connection);
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| self.garbled(error))?;
        Ok((response, driver))
    }

    fn timed_out(&self) -> ClientError {
        ClientError::TimedOut {
            endpoint: self.endpoint.clone(),
            timeout: self.timeout,
        }
    }

    async fn connect(&self) -> Answer<TokioIo<Box<dyn Stream>>> {
        loop {
            let connected: io::Result<Box<dyn Stream>> = match &self.endpoint {
                Endpoint::Unix(path) => {
                    let stream = UnixStream::connect(path).await;
                    stream.map(|stream| Box::new(stream) as _)
                }
                Endpoint::Http { host, port } => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await;
                    stream.map(|stream| Box::new(stream) as _)
                }
            };
            match connected {
                Ok(stream) => return Ok(TokioIo::new(stream)),
                // The kernel's queue of waiting connections is full; the caller's limit ends this.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(CROWDED).await,
                Err(source) => {
                    let endpoint = self.endpoint.clone();
                    return Err(ClientError::without_connection(endpoint, source));
                }
            }
        }
    }

    fn garbled(&self, why: impl fmt::Display) -> ClientError {
        ClientError::Garbled {
            endpoint: self.endpoint.clone(),
            why: why.to_string(),
        }
    }
}

/// An answer that comes line by line.
#[derive(Debug)]
pub(crate) struct Lines {
    client: Client,
    success: bool,
    body: Incoming,
    read: Vec<u8>,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Lines {
    /// The next line that says something, without its end; `None` when the answer has ended.
    pub(crate) async fn next(&mut self) -> Answer<Option<String>> {
        loop {
            if let Some(end) = self.read.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                if end == 0 {
                    continue;
                }
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.read.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(self.client.garbled(error)),
                None if self.read.is_empty() => return Ok(None),
                None => {
                    let rest = std::mem::take(&mut self.read);
                    return Ok(Some(String::from_utf8_lossy(&rest).into_owned()));
                }
            }
        }
    }

    /// What an answer that is none says.
    async fn refusal(mut self) -> ClientError {
        let mut text = String::new();
        while let Ok(Some(line)) = self.next().await {
            text.push_str(&line);
        }
        match serde_json::from_str(&text) {
            Ok(ErrorReply { error, code, .. }) => ClientError::Refused { code, error },
            Err(error) => self.client.garbled(error),
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Said here: while a body is being sent, the server's own refusal can get lost.
fn too_large(bytes: usize) -> ClientError {
    let error = format!("the request has {bytes} bytes; lbd takes at most {BODY_LIMIT_BYTES}");
    ClientError::Refused {
        code: ErrorCode::TooLarge,
        error,
    }
}
