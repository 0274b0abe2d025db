//! What the client makes of daemons that do not answer well.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixListener,
    time::Duration,
};

use balancer_core::model::{BackendSpec, Endpoint, ServiceSpec, Weight};
use tokio::{
    net::{UnixSocket, UnixStream},
    time::timeout,
};

use crate::{
    client::{ChangeOptions, Client, ClientError},
    replies::ErrorCode,
    testing::{
        daemon::{Daemon, Manner},
        samples::{add, dns, ip, name, web},
    },
    views::{CheckedHealth, Verdict, XdpAttachment},
};

// Promise: O1
#[tokio::test]
async fn every_error_has_its_exit_code() {
    let daemon = Daemon::with(vec![add(web(&["10.1.0.10"]))]);
    let client = daemon.client();
    let (web_name, here) = (name("web"), ip("10.1.0.10"));
    let taken = BackendSpec {
        address: here,
        weight: Weight::default(),
    };
    let bad = ServiceSpec {
        port: 0,
        ..dns(&[])
    };
    let plain = ChangeOptions::default();
    let rows = [
        (
            client.drain(&name("mail"), here, plain).await,
            ErrorCode::NotFound,
            4,
        ),
        (
            client.add_backend(&web_name, &taken, plain).await,
            ErrorCode::Conflict,
            5,
        ),
        (
            client.drain(&web_name, here, plain).await,
            ErrorCode::Unsafe,
            6,
        ),
        (client.add_service(&bad, plain).await, ErrorCode::Invalid, 1),
        (
            Daemon::start(Manner::Fails)
                .client()
                .drain(&web_name, here, plain)
                .await,
            ErrorCode::Failed,
            1,
        ),
        (
            Daemon::start(Manner::FailsPartly)
                .client()
                .drain(&web_name, here, plain)
                .await,
            ErrorCode::PartlyDone,
            7,
        ),
        (
            Daemon::start(Manner::Stops)
                .client()
                .drain(&web_name, here, plain)
                .await,
            ErrorCode::Unavailable,
            3,
        ),
    ];
    for (answer, code, exit_code) in rows {
        let error = answer.unwrap_err();
        assert!(
            matches!(&error, ClientError::Refused { code: got, .. } if *got == code),
            "{error:?}"
        );
        assert_eq!(error.exit_code(), exit_code, "{error:?}");
    }
}

#[tokio::test]
async fn without_a_socket_the_daemon_is_unreachable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lbd.sock");
    let error = Client::new(&path).status().await.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let told = error.to_string();
    assert!(
        told.starts_with(&format!("lbd does not answer on {}: ", path.display())),
        "{told}"
    );
    assert!(
        told.ends_with("is it running? (systemctl status lbd)"),
        "{told}"
    );
}

#[tokio::test]
async fn on_a_socket_that_nobody_listens_on_the_daemon_is_unreachable() {
    let mut daemon = Daemon::with(vec![]);
    daemon.stop();
    let error = daemon.client().status().await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Unreachable { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused),
        "{error:?}"
    );
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test]
async fn a_daemon_that_keeps_silent_is_given_up() {
    let daemon = Daemon::start(Manner::Hangs);
    let client = daemon.client().with_timeout(Duration::from_millis(50));
    let error = given_up(client).await;
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
    assert_eq!(error.exit_code(), 8);
}

#[tokio::test]
async fn a_daemon_with_a_full_queue_is_asked_until_the_time_is_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lbd.sock");
    let socket = UnixSocket::new_stream().unwrap();
    socket.bind(&path).unwrap();
    let _listener = socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = UnixStream::connect(&path).await {
        waiting.push(stream);
    }
    let client = Client::new(&path).with_timeout(Duration::from_millis(50));
    let error = given_up(client).await;
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
}

/// Why the client gave up, as it must within reason.
async fn given_up(client: Client) -> ClientError {
    let answer = timeout(Duration::from_secs(30), client.status()).await;
    answer.expect("the client gives up").unwrap_err()
}

#[test]
fn a_socket_of_others_is_told_with_what_to_do() {
    let denied = io::ErrorKind::PermissionDenied.into();
    let error =
        ClientError::without_connection(Endpoint::Unix("/run/balancer/lbd.sock".into()), denied);
    assert_eq!(error.exit_code(), 3);
    assert_eq!(
        error.to_string(),
        "may not use /run/balancer/lbd.sock: permission denied; \
         run lbctl as root or as a member of the socket's group"
    );
}

#[tokio::test]
async fn an_answer_in_another_language_is_told_as_such() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-x\r\n",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lbd.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let other = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let error = Client::new(&path).status().await.unwrap_err();
        assert!(matches!(error, ClientError::Garbled { .. }), "{error:?}");
        assert_eq!(error.exit_code(), 1);
        other.join().unwrap();
    }
}

#[tokio::test]
async fn a_desired_set_that_is_too_large_is_refused_before_it_is_sent() {
    let daemon = Daemon::with(vec![]);
    let addresses: Vec<String> = (0..65_536)
        .map(|n| format!("2001:db8:1234:5678:9abc:def0:1234:{n:x}"))
        .collect();
    let one = web(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
    let error = daemon
        .client()
        .apply(vec![one; 5], ChangeOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Refused {
                code: ErrorCode::TooLarge,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn flags_make_a_query_only_when_they_are_set() {
    assert_eq!(ChangeOptions::default().to_string(), "");
    assert_eq!(
        ChangeOptions {
            force: true,
            ..ChangeOptions::default()
        }
        .to_string(),
        "?force=true"
    );
    assert_eq!(
        ChangeOptions {
            now: true,
            force: true,
            dry_run: true
        }
        .to_string(),
        "?now=true&force=true&dry_run=true"
    );
}

/// Programs that read the API know these words.
#[test]
fn enums_are_the_words_that_they_were() {
    let attachments = [
        XdpAttachment::Native,
        XdpAttachment::Generic,
        XdpAttachment::Offload,
        XdpAttachment::Detached,
    ];
    let verdicts = [Verdict::Pass, Verdict::Drop, Verdict::Answer];
    let healths = [
        CheckedHealth::Up,
        CheckedHealth::Down,
        CheckedHealth::Unknown,
        CheckedHealth::Unchecked,
    ];
    let said = serde_json::json!([attachments, verdicts, healths]);
    let words = serde_json::json!([
        ["native", "generic", "offload", "detached"],
        ["pass", "drop", "answer"],
        ["up", "down", "unknown", "unchecked"]
    ]);
    assert_eq!(said, words);
    let printed = [
        attachments.map(|word| word.to_string()).to_vec(),
        verdicts.map(|word| word.to_string()).to_vec(),
        healths.map(|word| word.to_string()).to_vec(),
    ];
    assert_eq!(serde_json::json!(printed), words);
}
