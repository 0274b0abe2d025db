//! The control interface over TCP, for callers that show the token.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::header::{AUTHORIZATION, WWW_AUTHENTICATE},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tokio::net::TcpListener;

use super::{failure::Failure, router, serve_router};
use crate::{command::Daemon, limited_listener::LimitedListener, token::Token};

/// How many connections are served at once; the others wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;

/// How long a connection may last on which no answer moves: longer than the longest wait.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Listens for callers over TCP.
///
/// # Errors
///
/// When the address can't be had; the message says what to do.
pub async fn bind_tcp(listen: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|error| {
        let message = format!(
            "cannot listen on {listen} for the API: {error}; set `api_listen` to a free address"
        );
        io::Error::new(error.kind(), message)
    })
}

/// Serves the control interface over TCP until `shutdown` is ready, to those who show the token if there is one.
///
/// # Errors
///
/// When the listener fails for good.
pub async fn serve_tcp(
    listener: TcpListener,
    daemon: Daemon,
    token: Option<Token>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_with_auth(listener, router(daemon), token, shutdown).await
}

/// The same for any router.
pub(crate) async fn serve_with_auth(
    listener: TcpListener,
    router: Router,
    token: Option<Token>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let router = match token {
        Some(token) => router.layer(from_fn_with_state(token, check)),
        None => router,
    };
    serve_router(
        LimitedListener::new(listener, MAX_CONNECTIONS, IDLE_TIMEOUT),
        router,
        shutdown,
    )
    .await
}

async fn check(State(token): State<Token>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(AUTHORIZATION);
    if token.is_shown_by(shown.map(|value| value.as_bytes())) {
        return next.run(request).await;
    }
    let error = match shown {
        Some(_) => "the token is not the one of `api_token_file`",
        None => {
            "a token is asked for: send `Authorization: Bearer TOKEN` with that of `api_token_file`"
        }
    };
    let challenge = [(WWW_AUTHENTICATE, "Bearer")];
    (challenge, Failure::unauthorized(error)).into_response()
}
