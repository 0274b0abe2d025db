//! Taking and leaving the socket's place.

use std::{
    fs,
    future::pending,
    io::{self, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    time::Duration,
};

use crate::{client::Client, command, server, testing::daemon::Daemon};

// Promise: O2
#[tokio::test]
async fn a_dead_socket_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lbd.sock");
    // Closing a listener leaves its socket behind, as a killed daemon does.
    drop(UnixListener::bind(&path).unwrap());
    let listener = server::bind(&path).unwrap();
    let (commands, _) = tokio::sync::mpsc::channel(1);
    let (looks, _) = tokio::sync::mpsc::channel(1);
    let daemon = command::Daemon { commands, looks };
    let serving = tokio::spawn(server::serve(listener, daemon, pending()));
    let error = Client::new(&path).status().await.unwrap_err();
    assert!(error.to_string().contains("lbd is stopping"), "{error}");
    serving.abort();
}

// Promise: O2
#[tokio::test]
async fn a_live_socket_is_refused_and_stays() {
    let daemon = Daemon::with(vec![]);
    let error = server::bind(&daemon.socket).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(
        error.to_string().contains("another lbd answers on"),
        "{error}"
    );
    daemon.client().status().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_refused_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lbd.sock");
    fs::write(&path, "precious").unwrap();
    let error = server::bind(&path).unwrap_err();
    assert!(
        error.to_string().contains("exists and is no socket"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing/lbd.sock");
    let error = server::bind(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(
        error.to_string().contains(&path.display().to_string()),
        "{error}"
    );
}

// Promise: O2
#[tokio::test]
async fn only_owner_and_group_may_use_the_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lbd.sock");
    let _listener = server::bind(&path).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o660
    );
}

#[test]
fn connections_that_never_end_do_not_keep_the_server() {
    let mut daemon = Daemon::with(vec![]);
    let _idle = UnixStream::connect(&daemon.socket).unwrap();
    let mut half = UnixStream::connect(&daemon.socket).unwrap();
    half.write_all(b"PUT /v1/desired HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
        .unwrap();
    let (stopped, is_stopped) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        daemon.stop();
        stopped.send(()).unwrap();
    });
    is_stopped
        .recv_timeout(Duration::from_secs(30))
        .expect("the server stops");
}
