//! Requests byte for byte, for what the client would never send.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use serde_json::Value;

use crate::testing::daemon::Daemon;

/// Sends bytes, and reads the status and the body of what comes back.
pub(super) fn send(daemon: &Daemon, request: &[u8]) -> (u16, Value) {
    let mut stream = UnixStream::connect(&daemon.socket).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    // The server may answer, and close, before it has read all.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (
        status,
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body:?}")),
    )
}

/// Sends a request, and reads the status and the body of what comes back.
pub(super) fn ask(daemon: &Daemon, method: &str, uri: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    let head = format!(
        "{method} {uri} HTTP/1.1\r\nHost: lbd\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    send(daemon, &[head.as_bytes(), body.as_bytes()].concat())
}
