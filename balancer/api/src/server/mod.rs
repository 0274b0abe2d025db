//! The daemon's end of the control interface.

mod auth;
mod changes;
mod events;
mod extract;
mod failure;
mod reads;

use std::{future::Future, io, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    routing::{delete, get, post, put},
};
use tokio::{net::UnixListener, sync::watch};

pub use self::auth::{bind_tcp, serve_tcp};
pub(crate) use self::{
    auth::serve_with_auth,
    extract::{Asked, Body, Raw},
    failure::Failure,
};
use super::BODY_LIMIT_BYTES;
pub use super::{
    command::{ChangeError, Command, Daemon, Look},
    socket::bind,
};

/// How long open connections may take to end once the server shall stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

const ROUTES: &str = "GET /v1/status, /v1/services, /v1/backends; POST /v1/services; DELETE /v1/services/NAME; \
POST /v1/services/NAME/backends; DELETE /v1/services/NAME/backends/ADDRESS; \
POST /v1/services/NAME/backends/ADDRESS/drain; PUT /v1/services/NAME/backends/ADDRESS/weight; \
PUT /v1/services/NAME, /v1/desired; POST /v1/events; GET /v1/operations, /v1/operations/ID; POST /v1/detach, /v1/edge/drain, /v1/edge/undrain";

/// Serves the control interface until `shutdown` is ready; requests under way have two seconds more.
///
/// # Errors
///
/// When the listener fails for good.
pub async fn serve(
    listener: UnixListener,
    daemon: Daemon,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_router(listener, router(daemon), shutdown).await
}

/// Serves any router until `shutdown` is ready; requests under way have two seconds more.
///
/// # Errors
///
/// When the listener fails for good.
pub async fn serve_router<L>(
    listener: L,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    let (stop, mut stopping) = watch::channel(false);
    let graceful = async move {
        // An error is a dropped sender: the whole server is going away.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    let server = axum::serve(listener, router)
        .with_graceful_shutdown(graceful)
        .into_future();
    tokio::pin!(server);
    tokio::select! {
        result = &mut server => return result,
        () = shutdown => {}
    }
    let _ = stop.send(true);
    // A connection that never ends must not keep the daemon from stopping.
    tokio::time::timeout(SHUTDOWN_GRACE, server)
        .await
        .unwrap_or(Ok(()))
}

fn router(daemon: Daemon) -> Router {
    Router::new()
        .route("/v1/status", get(reads::status))
        .route(
            "/v1/services",
            get(reads::services).post(changes::add_service),
        )
        .route(
            "/v1/services/{name}",
            delete(changes::remove_service).put(changes::declare_service),
        )
        .route("/v1/services/{name}/backends", post(changes::add_backend))
        .route(
            "/v1/services/{name}/backends/{address}",
            delete(changes::remove_backend),
        )
        .route(
            "/v1/services/{name}/backends/{address}/drain",
            post(changes::drain),
        )
        .route(
            "/v1/services/{name}/backends/{address}/weight",
            put(changes::set_weight),
        )
        .route("/v1/events", post(events::post))
        .route("/v1/operations", get(events::list))
        .route("/v1/operations/{id}", get(events::one))
        .route("/v1/backends", get(reads::backends))
        .route("/v1/desired", put(changes::apply))
        .route("/v1/edge/drain", post(changes::drain_edge))
        .route("/v1/edge/undrain", post(changes::undrain_edge))
        .route("/v1/detach", post(changes::detach))
        .fallback(no_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(daemon)
}

async fn no_route(request: Request) -> Failure {
    Failure::no_route(format!(
        "no route {} {}; there are: {ROUTES}",
        request.method(),
        request.uri().path()
    ))
}

async fn method_not_allowed(request: Request) -> Failure {
    Failure::method_not_allowed(format!(
        "{} does not take {}; there are: {ROUTES}",
        request.uri().path(),
        request.method()
    ))
}
