//! The daemon's end of the site's interface.

use std::{future::Future, io, path::Path as FilePath, time::Duration};

use axum::{
    Json, Router,
    body::{Body as ResponseBody, Bytes},
    extract::{DefaultBodyLimit, Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use balancer_core::model::{Endpoint, Label};
use futures::stream;
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    IMAGE_LIMIT_BYTES,
    command::{InstanceLine, SiteCommand, SiteRefusal},
    requests::WorkloadBody,
    views::{SiteView, WorkloadView},
};
use crate::{
    BODY_LIMIT_BYTES,
    replies::{API_VERSION, ListReply},
    server::{Asked, Body, Failure, Raw, serve_router, serve_with_auth},
    socket,
    token::Token,
};

/// Lines that a slow reader has not taken yet.
const WAITING: usize = 64;

/// An empty line goes out after so long a silence: a connection on which nothing moves does not last.
const SILENCE: Duration = Duration::from_secs(30);

const ROUTES: &str = "GET /v1/site, /v1/workloads, /v1/workloads/SLUG, /v1/workloads/SLUG/logs; \
                      PUT and DELETE /v1/workloads/SLUG; PUT /v1/images?image=NAME";

type Commands = mpsc::Sender<SiteCommand>;

/// Where a site is asked: one listener, and the token that is to be shown.
pub enum Listeners {
    /// A unix socket, for root and its group.
    Unix(UnixListener),
    /// TCP, for who shows the token if there is one.
    Tcp(TcpListener, Option<Token>),
}

impl Listeners {
    /// Listens where the fleet file says.
    ///
    /// # Errors
    ///
    /// When the place is taken, or the token can't be read.
    pub async fn open(endpoint: &Endpoint, token_file: Option<&FilePath>) -> io::Result<Self> {
        Ok(match endpoint {
            Endpoint::Unix(path) => Self::Unix(socket::bind(path)?),
            Endpoint::Http { host, port } => {
                let listener = TcpListener::bind((host.as_str(), *port)).await;
                let listener = listener.map_err(|error| {
                    io::Error::new(
                        error.kind(),
                        format!("cannot listen on {endpoint}: {error}"),
                    )
                })?;
                let token = token_file.map(Token::read).transpose()?;
                Self::Tcp(listener, token.map(|(token, _)| token))
            }
        })
    }

    /// Serves until `shutdown` is ready.
    ///
    /// # Errors
    ///
    /// When the listener fails for good.
    pub async fn serve(
        self,
        commands: mpsc::Sender<SiteCommand>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let router = router(commands);
        match self {
            Self::Unix(listener) => serve_router(listener, router, shutdown).await,
            Self::Tcp(listener, token) => serve_with_auth(listener, router, token, shutdown).await,
        }
    }
}

fn router(commands: Commands) -> Router {
    Router::new()
        .route("/v1/site", get(site))
        .route("/v1/workloads", get(workloads))
        .route(
            "/v1/workloads/{slug}",
            get(workload).put(put_workload).delete(delete_workload),
        )
        .route("/v1/workloads/{slug}/logs", get(logs))
        .route(
            "/v1/images",
            put(image).layer(DefaultBodyLimit::max(IMAGE_LIMIT_BYTES)),
        )
        .fallback(async |request: Request| {
            let (method, path) = (request.method(), request.uri().path());
            Failure::no_route(format!("no route {method} {path}; there are: {ROUTES}"))
        })
        .method_not_allowed_fallback(async |request: Request| {
            let (method, path) = (request.method(), request.uri().path());
            Failure::method_not_allowed(format!(
                "{path} does not take {method}; there are: {ROUTES}"
            ))
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(commands)
}

/// What a change answers.
#[derive(Serialize)]
struct Taken {
    api_version: &'static str,
}

const TAKEN: Json<Taken> = Json(Taken {
    api_version: API_VERSION,
});

async fn ask<T>(
    commands: &Commands,
    command: impl FnOnce(oneshot::Sender<T>) -> SiteCommand,
) -> Result<T, Failure> {
    let (reply, answer) = oneshot::channel();
    let sent = commands.send(command(reply)).await;
    sent.map_err(|_| Failure::unavailable())?;
    answer.await.map_err(|_| Failure::unavailable())
}

async fn snapshot(commands: &Commands) -> Result<SiteView, Failure> {
    ask(commands, |reply| SiteCommand::Snapshot { reply }).await
}

async fn site(State(commands): State<Commands>) -> Result<Json<ListReply<SiteView>>, Failure> {
    // Sites have no generations.
    Ok(Json(ListReply::new(0, vec![snapshot(&commands).await?])))
}

async fn workloads(
    State(commands): State<Commands>,
) -> Result<Json<ListReply<WorkloadView>>, Failure> {
    let site = snapshot(&commands).await?;
    Ok(Json(ListReply::new(0, site.workloads)))
}

async fn workload(
    State(commands): State<Commands>,
    Path(slug): Path<String>,
) -> Result<Json<ListReply<WorkloadView>>, Failure> {
    let slug = label(&slug)?;
    let site = snapshot(&commands).await?;
    let mut found = site.workloads;
    found.retain(|workload| workload.slug == slug);
    match found.is_empty() {
        true => Err(Failure::not_found(format!(
            "there is no workload `{slug}` here"
        ))),
        false => Ok(Json(ListReply::new(0, found))),
    }
}

async fn put_workload(
    State(commands): State<Commands>,
    Path(slug): Path<String>,
    Body(body): Body<WorkloadBody>,
) -> Result<Json<Taken>, Failure> {
    let slug = label(&slug)?;
    if body.workload.slug != slug {
        return Err(Failure::invalid(format!(
            "the body is of workload `{}`, not of `{slug}`",
            body.workload.slug
        )));
    }
    let body = Box::new(body);
    ask(&commands, |reply| SiteCommand::PutWorkload { body, reply }).await??;
    Ok(TAKEN)
}

async fn delete_workload(
    State(commands): State<Commands>,
    Path(slug): Path<String>,
) -> Result<(StatusCode, Json<Taken>), Failure> {
    let slug = label(&slug)?;
    ask(&commands, |reply| SiteCommand::DeleteWorkload {
        slug,
        reply,
    })
    .await??;
    Ok((StatusCode::ACCEPTED, TAKEN))
}

/// The query of an image.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    image: String,
}

/// A line of progress, or what went wrong.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Progress {
    Line(String),
    Error(String),
}

async fn image(
    State(commands): State<Commands>,
    Asked(Image { image }): Asked<Image>,
    Raw(context): Raw<IMAGE_LIMIT_BYTES>,
) -> Result<Response, Failure> {
    let (progress, lines) = mpsc::channel(WAITING);
    let command = SiteCommand::PrepareImage {
        image,
        context: (!context.is_empty()).then_some(context),
        progress,
    };
    let sent = commands.send(command).await;
    sent.map_err(|_| Failure::unavailable())?;
    Ok(json_lines(lines, SILENCE, |line| match line {
        Ok(line) => Progress::Line(line),
        Err(error) => Progress::Error(error),
    }))
}

/// The query of logs.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LogQuery {
    instance: Option<String>,
    tail: Option<usize>,
    follow: bool,
}

async fn logs(
    State(commands): State<Commands>,
    Path(slug): Path<String>,
    Asked(query): Asked<LogQuery>,
) -> Result<Response, Failure> {
    let slug = label(&slug)?;
    let lines = ask(&commands, |reply| SiteCommand::Logs {
        slug,
        instance: query.instance,
        tail: query.tail,
        follow: query.follow,
        reply,
    });
    Ok(json_lines(lines.await??, SILENCE, |line: InstanceLine| {
        line
    }))
}

/// One JSON object a line, as they come; an empty line after each such silence.
pub(super) fn json_lines<T, L: Serialize>(
    lines: mpsc::Receiver<T>,
    silence: Duration,
    shown: impl Fn(T) -> L + Send + 'static,
) -> Response
where
    T: Send + 'static,
{
    let stream = stream::unfold((lines, shown), move |(mut lines, shown)| async move {
        let mut text = match timeout(silence, lines.recv()).await {
            Ok(line) => serde_json::to_vec(&shown(line?)).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        text.push(b'\n');
        Some((io::Result::Ok(Bytes::from(text)), (lines, shown)))
    });
    let body = ResponseBody::from_stream(stream);
    ([("content-type", "application/x-ndjson")], body).into_response()
}

fn label(text: &str) -> Result<Label, Failure> {
    text.parse()
        .map_err(|error| Failure::invalid(format!("`{text}` is no slug: {error}")))
}

impl From<SiteRefusal> for Failure {
    fn from(refusal: SiteRefusal) -> Self {
        match refusal {
            SiteRefusal::NotFound(error) => Self::not_found(error),
            SiteRefusal::Conflict(error) => Self::conflict(error),
            SiteRefusal::Invalid(error) => Self::invalid(error),
            SiteRefusal::Failed(error) => Self::failed(error),
        }
    }
}
