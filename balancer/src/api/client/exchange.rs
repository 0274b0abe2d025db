//! One request and its answer.

use std::{fmt, io, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, body::Bytes, header};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    net::UnixStream,
    time::{sleep, timeout},
};

use super::{Answer, Client, ClientError, How};
use crate::api::{
    BODY_LIMIT_BYTES,
    replies::{ErrorCode, ErrorReply},
};

/// The largest answer that is read, in bytes.
const ANSWER_LIMIT_BYTES: usize = 256 << 20;

/// How long to wait when the daemon has as many connections waiting as it may.
const CROWDED: Duration = Duration::from_millis(10);

/// Requests that need none have no body.
pub(super) const NO_BODY: Option<&()> = None;

impl Client {
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.send(Method::GET, path, How::default(), NO_BODY).await
    }

    pub(super) async fn send<T: DeserializeOwned>(
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
        if body.len() > BODY_LIMIT_BYTES {
            return Err(too_large(body.len()));
        }
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

/// Said here: while a body is being sent, the server's own refusal can get lost.
fn too_large(bytes: usize) -> ClientError {
    let error = format!("the request has {bytes} bytes; lbd takes at most {BODY_LIMIT_BYTES}");
    ClientError::Refused {
        code: ErrorCode::TooLarge,
        error,
    }
}
