//! The text that Prometheus reads, and where it reads it.

use std::{
    future::pending,
    io::Write,
    net::{Ipv6Addr, SocketAddr},
    process::{Command as Process, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::{Router, routing};
use balancer_api::{
    command::{Daemon, Look},
    limited_listener::LimitedListener,
    server::serve_router,
    testing::samples::busy,
    views::{Snapshot, XdpAttachment},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

use super::{bind, render, serve};

const BUSY: &str = include_str!("tests/busy.prom");

// Promise: O3
#[test]
fn a_busy_edge_reads_like_this() {
    assert_eq!(render(&busy()), BUSY);
}

#[test]
fn an_edge_without_services_has_no_series_of_services() {
    let text = render(&Snapshot::default());
    assert!(text.contains("\nlb_generation 0\n"), "{text}");
    assert!(
        !text.contains("lb_service") && !text.contains("lb_backend"),
        "{text}"
    );
}

#[test]
fn a_detached_program_is_attached_in_no_mode() {
    let mut snapshot = busy();
    snapshot.status.interfaces[0].xdp_mode = XdpAttachment::Detached;
    let text = render(&snapshot);
    for mode in ["native", "generic"] {
        assert!(
            text.contains(&format!(
                "lb_xdp_attached{{interface=\"eth0\",mode=\"{mode}\"}} 0\n"
            )),
            "{text}"
        );
    }
}

#[test]
fn large_counters_lose_nothing_that_prometheus_could_hold() {
    let mut snapshot = busy();
    snapshot.services[0].packets = (1 << 53) - 1;
    assert!(
        render(&snapshot).contains("lb_service_packets_total{service=\"dns\"} 9007199254740991\n")
    );
}

// Promise: O3
#[test]
fn promtool_has_nothing_to_say() {
    let mut promtool = Process::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is on PATH: `cargo xtask test` puts it there");
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(render(&busy()).as_bytes())
        .unwrap();
    let said = promtool.wait_with_output().unwrap();
    assert!(
        said.status.success() && said.stdout.is_empty() && said.stderr.is_empty(),
        "{said:?}"
    );
}

/// Serves on a free port what `snapshot` says, or nothing; returns where.
async fn listen(snapshot: Option<Snapshot>) -> SocketAddr {
    let listener = bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let (commands, _) = mpsc::channel(1);
    let (looks, mut inbox) = mpsc::channel(1);
    tokio::spawn(serve(listener, Daemon { commands, looks }, pending()));
    tokio::spawn(async move {
        while let Some(look) = inbox.recv().await {
            if let (Look::Snapshot { reply }, Some(snapshot)) = (look, &snapshot) {
                let _ = reply.send(Arc::new(snapshot.clone()));
            }
        }
    });
    address
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

// Promise: O3
#[tokio::test]
async fn a_scrape_gets_the_classic_text_format() {
    let answer = get(listen(Some(busy())).await, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with(&format!("\r\n\r\n{BUSY}")), "{answer}");
}

#[tokio::test]
async fn whoever_asks_for_something_else_is_sent_to_the_metrics() {
    let address = listen(Some(busy())).await;
    let (root, other) = (get(address, "/").await, get(address, "/metric").await);
    assert!(
        root.starts_with("HTTP/1.1 200 OK\r\n") && root.contains("/metrics"),
        "{root}"
    );
    assert!(
        other.starts_with("HTTP/1.1 404 Not Found\r\n") && other.contains("/metrics"),
        "{other}"
    );
}

#[tokio::test]
async fn a_daemon_that_is_stopping_cannot_be_scraped() {
    let answer = get(listen(None).await, "/metrics").await;
    assert!(
        answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = listen(None).await;
    let error = bind(taken).await.unwrap_err().to_string();
    assert!(
        error.contains(&taken.to_string()) && error.contains("metrics_listen"),
        "{error}"
    );
}

#[tokio::test]
async fn a_guest_who_says_nothing_loses_the_seat() {
    let listener = bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let limited = LimitedListener::new(listener, 1, Duration::from_millis(100));
    let router = Router::new().route("/", routing::get(|| async { "your turn" }));
    tokio::spawn(serve_router(limited, router, pending()));
    let mut silent = TcpStream::connect(address).await.unwrap();
    let answer = timeout(Duration::from_secs(30), get(address, "/"))
        .await
        .expect("a connection gets free");
    assert!(answer.ends_with("\r\n\r\nyour turn"), "{answer}");
    assert_eq!(
        silent.read(&mut [0]).await.unwrap(),
        0,
        "the connection is closed"
    );
}
