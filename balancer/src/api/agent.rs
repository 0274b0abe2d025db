//! The agent's interface: how many sockets its instances have.

use std::{future::Future, io};

use axum::{Json, Router, extract::State, routing::get};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use super::{
    replies::ListReply,
    server::{self, Asked, Failure},
    token::Token,
    views::{SocketQuery, SocketView},
};

/// A question for the sockets of every instance that has the VIP.
#[derive(Debug)]
pub struct SocketQuestion {
    /// What is counted.
    pub query: SocketQuery,
    /// Where the counts go; an instance that can't be looked into is left out.
    pub reply: oneshot::Sender<Vec<SocketView>>,
}

/// Serves `GET /v1/sockets` until `shutdown` is ready, to those who show the token if there is one.
///
/// # Errors
///
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    questions: mpsc::Sender<SocketQuestion>,
    token: Option<Token>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let router = Router::new()
        .route("/v1/sockets", get(sockets))
        .fallback(|| async {
            Failure::no_route("only GET /v1/sockets?vip=&port=&protocol= is here")
        })
        .with_state(questions);
    server::serve_guarded(listener, router, token, shutdown).await
}

async fn sockets(
    State(questions): State<mpsc::Sender<SocketQuestion>>,
    Asked(query): Asked<SocketQuery>,
) -> Result<Json<ListReply<SocketView>>, Failure> {
    let (reply, answer) = oneshot::channel();
    let question = SocketQuestion { query, reply };
    let sent = questions.send(question).await;
    sent.map_err(|_| Failure::unavailable())?;
    let items = answer.await.map_err(|_| Failure::unavailable())?;
    // An agent has no generations.
    Ok(Json(ListReply::new(0, items)))
}
