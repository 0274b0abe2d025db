//! Bodies that are too large.

use super::wire::send;
use crate::{BODY_LIMIT_BYTES, testing::daemon::Daemon};

#[test]
fn a_body_that_says_it_is_too_large_is_not_read() {
    let daemon = Daemon::with(vec![]);
    let length = BODY_LIMIT_BYTES + 1;
    // Not one byte of the body is sent: an answer proves that none was waited for.
    let head = format!(
        "PUT /v1/desired HTTP/1.1\r\nHost: lbd\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    let (status, reply) = send(&daemon, head.as_bytes());
    assert_eq!(
        (status, &reply["code"]),
        (413, &"too_large".into()),
        "{reply}"
    );
}

#[test]
fn a_body_that_turns_out_too_large_is_not_kept() {
    let daemon = Daemon::with(vec![]);
    let head = "PUT /v1/desired HTTP/1.1\r\nHost: lbd\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(1 << 20));
    let request = [head, &chunk.repeat(17), "0\r\n\r\n"].concat();
    let (status, reply) = send(&daemon, request.as_bytes());
    assert_eq!(
        (status, &reply["code"]),
        (413, &"too_large".into()),
        "{reply}"
    );
}
