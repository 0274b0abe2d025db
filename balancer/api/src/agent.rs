//! The agent's interface: which instances it attends, and how many sockets they have.

use std::{future::Future, io, net::IpAddr, path::PathBuf};

use axum::{Json, Router, extract::State, routing::get};
use serde::{Deserialize, Serialize};
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

/// What an agent is asked; each question carries the way back for its answer.
#[derive(Debug)]
pub enum AgentQuestion {
    /// Which instances there are. No namespace is entered for the answer: it may be asked often.
    Instances {
        /// Where they go, in order of names.
        reply: oneshot::Sender<Vec<AgentInstance>>,
    },
    /// How many sockets every instance that has the VIP has: each one's namespace is entered.
    Sockets {
        /// What is counted.
        query: SocketQuery,
        /// Where the counts go; an instance that can't be looked into is left out.
        reply: oneshot::Sender<Vec<SocketView>>,
    },
}

/// An instance as its host's agent knows it: an item of `GET /v1/instances`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInstance {
    /// Its name.
    pub name: String,
    /// The path of its network namespace, as the agent was told: an instance of the same name that was there before may
    /// have had another one.
    pub netns: PathBuf,
    /// Its VIPs, as the agent was told.
    pub vips: Vec<IpAddr>,
    /// Whether the agent's programs and the VIPs are in the namespace that the path leads to now, so that packets reach it.
    pub attached: bool,
}

/// Serves `GET /v1/instances` and `GET /v1/sockets` until `shutdown` is ready, to those who show the token if there is one.
///
/// # Errors
///
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    questions: mpsc::Sender<AgentQuestion>,
    token: Option<Token>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let router = Router::new()
        .route("/v1/instances", get(instances))
        .route("/v1/sockets", get(sockets))
        .fallback(|| async {
            Failure::no_route("there are: GET /v1/instances, GET /v1/sockets?vip=&port=&protocol=")
        })
        .with_state(questions);
    server::serve_with_auth(listener, router, token, shutdown).await
}

async fn instances(
    State(questions): State<mpsc::Sender<AgentQuestion>>,
) -> Result<Json<ListReply<AgentInstance>>, Failure> {
    ask(&questions, |reply| AgentQuestion::Instances { reply }).await
}

async fn sockets(
    State(questions): State<mpsc::Sender<AgentQuestion>>,
    Asked(query): Asked<SocketQuery>,
) -> Result<Json<ListReply<SocketView>>, Failure> {
    ask(&questions, |reply| AgentQuestion::Sockets { query, reply }).await
}

async fn ask<T>(
    questions: &mpsc::Sender<AgentQuestion>,
    question: impl FnOnce(oneshot::Sender<Vec<T>>) -> AgentQuestion,
) -> Result<Json<ListReply<T>>, Failure> {
    let (reply, answer) = oneshot::channel();
    let sent = questions.send(question(reply)).await;
    sent.map_err(|_| Failure::unavailable())?;
    let items = answer.await.map_err(|_| Failure::unavailable())?;
    // An agent has no generations.
    Ok(Json(ListReply::new(0, items)))
}
