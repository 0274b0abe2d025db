//! The routes that show.

use std::sync::Arc;

use axum::{Json, extract::State};
use balancer_core::model::ServiceName;
use serde::Deserialize;

use super::{Daemon, extract::Asked, failure::Failure};
use crate::{
    replies::ListReply,
    views::{BackendView, ServiceView, Snapshot, StatusView},
};

/// A query without parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// The query of `GET /v1/backends`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    service: Option<String>,
}

type List<T> = Result<Json<ListReply<T>>, Failure>;

pub(super) async fn status(
    State(daemon): State<Daemon>,
    Asked(Nothing {}): Asked<Nothing>,
) -> List<StatusView> {
    let status = snapshot(&daemon).await?.status.clone();
    Ok(Json(ListReply::new(status.generation, vec![status])))
}

pub(super) async fn services(
    State(daemon): State<Daemon>,
    Asked(Nothing {}): Asked<Nothing>,
) -> List<ServiceView> {
    let snapshot = snapshot(&daemon).await?;
    let services = snapshot.services.clone();
    Ok(Json(ListReply::new(snapshot.status.generation, services)))
}

pub(super) async fn backends(
    State(daemon): State<Daemon>,
    Asked(which): Asked<Which>,
) -> List<BackendView> {
    let service: Option<ServiceName> = which
        .service
        .map(|name| name.parse())
        .transpose()
        .map_err(Failure::invalid)?;
    let snapshot = snapshot(&daemon).await?;
    if let Some(name) = &service
        && !snapshot.services.iter().any(|each| each.name == *name)
    {
        return Err(Failure::not_found(format!(
            "no service `{name}`; `lbctl services list` shows those there are"
        )));
    }
    let is_asked_for = |backend: &&BackendView| {
        let service = service.as_ref();
        service.is_none_or(|name| backend.service == *name)
    };
    let backends = snapshot.backends.iter().filter(is_asked_for);
    let generation = snapshot.status.generation;
    Ok(Json(ListReply::new(
        generation,
        backends.cloned().collect(),
    )))
}

pub(super) async fn snapshot(daemon: &Daemon) -> Result<Arc<Snapshot>, Failure> {
    daemon.snapshot().await.ok_or_else(Failure::unavailable)
}
