//! The listener that Prometheus scrapes.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{
        StatusCode,
        header::{CONNECTION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use balancer_api::{
    command::Daemon, limited_listener::LimitedListener, server::serve_router, views::Snapshot,
};
use tokio::{net::TcpListener, sync::Mutex, task::spawn_blocking};

use super::render;

/// The classic text format; the character set is the format's own.
pub(super) const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How many may ask at once; the others wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;

/// How long each may take, from the connection to the end of the answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

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
        .with_state(Pages {
            daemon,
            last: Arc::default(),
        });
    serve_router(
        LimitedListener::new(listener, MAX_CONNECTIONS, IDLE_TIMEOUT),
        router,
        shutdown,
    )
    .await
}

/// A page, and the snapshot that it is of.
type Page = (Arc<Snapshot>, Bytes);

/// The ways to the daemon, and the page that was made last: who looks at the same snapshot gets the same page.
#[derive(Clone)]
struct Pages {
    daemon: Daemon,
    last: Arc<Mutex<Option<Page>>>,
}

impl Pages {
    /// The page of now; `None` when the daemon is stopping.
    async fn page(&self) -> Option<Bytes> {
        let snapshot = self.daemon.snapshot().await?;
        let mut last = self.last.lock().await;
        if let Some((of, page)) = &*last
            && Arc::ptr_eq(of, &snapshot)
        {
            return Some(page.clone());
        }
        // A page of many backends takes milliseconds, which are not the control loop's.
        let rendered = spawn_blocking(move || {
            let page = Bytes::from(render(&snapshot));
            (snapshot, page)
        });
        let (snapshot, page) = rendered.await.ok()?;
        *last = Some((snapshot, page.clone()));
        Some(page)
    }
}

async fn metrics(State(pages): State<Pages>) -> Response {
    match pages.page().await {
        // Whoever scrapes again in seconds shall not keep one of the connections meanwhile.
        Some(page) => ([(CONTENT_TYPE, TEXT_FORMAT), (CONNECTION, "close")], page).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "lbd is stopping.\n").into_response(),
    }
}
