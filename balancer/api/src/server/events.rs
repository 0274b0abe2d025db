//! Events of backends' lives, and the drains that they begin.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use balancer_core::state::{Change, DoneReason, Happened, OperationId};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{
    Daemon,
    changes::outcome_of,
    extract::{Asked, InOperation, Raw},
    failure::Failure,
    reads::Nothing,
};
use crate::{
    drain_status::DrainStatus,
    event::{self, EventError},
    replies::{API_VERSION, EventReply, ListReply},
    views::{OperationState, OperationView, OutcomeView},
};

/// The longest that one request may wait for a drain.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The query of `GET /v1/operations/ID`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Patience {
    wait: Option<String>,
}

pub(super) async fn post(
    State(daemon): State<Daemon>,
    headers: HeaderMap,
    Asked(Nothing {}): Asked<Nothing>,
    Raw(body): Raw,
) -> Result<Response, Failure> {
    let event = event::parse(&headers, &body)?;
    let operation = match event.happened {
        Happened::Terminating { .. } => Some(OperationId {
            service: event.service.clone(),
            address: event.address,
            incarnation: event.incarnation,
        }),
        Happened::Launched { .. } | Happened::Terminated => None,
    };
    let outcome = outcome_of(&daemon, Change::Hear(event), false).await?;
    let reply = Json(EventReply {
        api_version: API_VERSION.to_owned(),
        generation: outcome.generation,
        outcome: OutcomeView::from(&outcome),
        operation: operation.clone(),
    });
    Ok(match operation {
        Some(id) => {
            let location = [(LOCATION, format!("/v1/operations/{id}"))];
            (StatusCode::ACCEPTED, location, reply).into_response()
        }
        None => reply.into_response(),
    })
}

pub(super) async fn list(
    State(daemon): State<Daemon>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<ListReply<OperationView>>, Failure> {
    let drain_status = drain_status(&daemon).await?;
    let drain_status = drain_status.borrow().clone();
    let operations = drain_status.operations().collect();
    Ok(Json(ListReply::new(drain_status.generation(), operations)))
}

pub(super) async fn one(
    State(daemon): State<Daemon>,
    InOperation(id): InOperation,
    Asked(Patience { wait }): Asked<Patience>,
) -> Result<Json<OperationView>, Failure> {
    let wait = wait.as_deref().map_or(Ok(Duration::ZERO), seconds)?;
    let until = Instant::now() + wait.min(LONGEST_WAIT);
    let mut drain_status = drain_status(&daemon).await?;
    loop {
        let view = find(&drain_status.borrow_and_update(), &id)?;
        if view.state == OperationState::Done {
            return Ok(Json(view));
        }
        match timeout_at(until, drain_status.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Failure::unavailable()),
            Err(_) => return Ok(Json(view)),
        }
    }
}

async fn drain_status(
    daemon: &Daemon,
) -> Result<tokio::sync::watch::Receiver<DrainStatus>, Failure> {
    daemon.operations().await.ok_or_else(Failure::unavailable)
}

/// A drain whose status is known; one of an earlier life is over.
fn find(drain_status: &DrainStatus, id: &OperationId) -> Result<OperationView, Failure> {
    let newest = drain_status
        .newest(id)
        .filter(|newest| newest.id.incarnation >= id.incarnation);
    let mut view = newest.ok_or_else(|| {
        Failure::not_found(format!(
            "no operation `{id}`: its event did not come here, or it was forgotten a day after its end"
        ))
    })?;
    if view.id != *id {
        view.id = id.clone();
        view.state = OperationState::Done;
        view.reason = Some(DoneReason::Superseded);
    }
    Ok(view)
}

/// Reads `60s` or `60`.
fn seconds(text: &str) -> Result<Duration, Failure> {
    let digits = text.strip_suffix('s').unwrap_or(text);
    digits.parse().map(Duration::from_secs).map_err(|_| {
        Failure::invalid(format!(
            "wait={text}: write whole seconds, such as wait=60s"
        ))
    })
}

impl From<EventError> for Failure {
    fn from(error: EventError) -> Self {
        match error {
            EventError::UnsupportedMediaType(error) => Self::unsupported(error),
            EventError::Invalid(error) => Self::invalid(error),
        }
    }
}
