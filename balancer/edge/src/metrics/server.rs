//! The listener that Prometheus scrapes.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{
        StatusCode,
        header::{CONNECTION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use balancer_api::{command::Daemon, door::Door, server::serve_router};
use tokio::net::TcpListener;

use super::render;

/// The classic text format; the character set is the format's own.
pub(super) const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How many may ask at once; the others wait in the kernel's queue.
const SEATS: usize = 64;

/// How long each may take, from the connection to the end of the answer.
const STAY: Duration = Duration::from_secs(10);

/// Listens where Prometheus will ask.
///
/// # Errors
///
/// When the address can't be had; the message says what to do.
pub async fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|error| {
        let message = format!(
            "cannot listen on {listen} for metrics: {error}; set `metrics_listen` to a free address"
        );
        io::Error::new(error.kind(), message)
    })
}

/// Answers `GET /metrics` on a listener that exists until `shutdown` is ready.
///
/// # Errors
///
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    daemon: Daemon,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let router = Router::new()
        .route(
            "/",
            get(|| async { "Balancer's metrics are at /metrics.\n" }),
        )
        .route("/metrics", get(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "Only /metrics is here.\n") })
        .with_state(daemon);
    serve_router(Door::new(listener, SEATS, STAY), router, shutdown).await
}

async fn metrics(State(daemon): State<Daemon>) -> Response {
    match daemon.snapshot().await {
        // Whoever scrapes again in seconds shall not keep a seat meanwhile.
        Some(snapshot) => (
            [(CONTENT_TYPE, TEXT_FORMAT), (CONNECTION, "close")],
            render(&snapshot),
        )
            .into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "lbd is stopping.\n").into_response(),
    }
}
