//! The HTTP question: a `GET`, and the head of its answer.

use std::net::SocketAddr;

use balancer_core::model::Http;
use http_body_util::Empty;
use hyper::{
    Request,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{probe::Failure, tcp};

/// A longer head is no answer to a health check.
const HEAD_BYTES: usize = 16 * 1024;

/// Passes with a status from 200 to 399 and gives the connection back; the answer's body is left in it.
pub(crate) async fn ask(address: SocketAddr, http: &Http) -> Result<TcpStream, Failure> {
    let stream = tcp::ask(address).await?;
    let answer = get(stream, address, &http.path).await;
    answer.map_err(Failure::Target)
}

async fn get(stream: TcpStream, address: SocketAddr, path: &str) -> Result<TcpStream, String> {
    let request = Request::get(path)
        .header(HOST, address.to_string())
        .header(USER_AGENT, concat!("balancer/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("http path `{path}`: {error}"))?;
    let io = TokioIo::new(stream);
    let mut protocol = http1::Builder::new();
    let handshake = protocol.max_buf_size(HEAD_BYTES).handshake(io).await;
    let (mut sender, mut connection) = handshake.map_err(|error| no_http(&error))?;
    let answer = {
        let mut answer = std::pin::pin!(sender.send_request(request));
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // A connection that ends has passed on what it ended with.
            _ = &mut connection => answer.await,
        }
    };
    let status = answer.map_err(|error| no_http(&error))?.status();
    if !(200..400).contains(&status.as_u16()) {
        return Err(format!("http status {}", status.as_u16()));
    }
    Ok(connection.into_parts().io.into_inner())
}

fn no_http(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "no http answer: connection closed".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    match cause
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::raw_os_error)
    {
        Some(number) => format!(
            "no http answer: {}",
            nix::errno::Errno::from_raw(number).desc().to_lowercase()
        ),
        None => format!("no http answer: {}", cause.to_string().to_lowercase()),
    }
}
