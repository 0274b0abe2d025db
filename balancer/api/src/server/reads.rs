//! The routes that show.

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
    let Snapshot { status, .. } = snapshot(&daemon).await?;
    Ok(Json(ListReply::new(status.generation, vec![status])))
}

pub(super) async fn services(
    State(daemon): State<Daemon>,
    Asked(Nothing {}): Asked<Nothing>,
) -> List<ServiceView> {
    let Snapshot {
        status, services, ..
    } = snapshot(&daemon).await?;
    Ok(Json(ListReply::new(status.generation, services)))
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
    let Snapshot {
        status,
        services,
        mut backends,
    } = snapshot(&daemon).await?;
    if let Some(name) = service {
        if !services.iter().any(|service| service.name == name) {
            return Err(Failure::not_found(format!(
                "no service `{name}`; `lbctl services list` shows those there are"
            )));
        }
        backends.retain(|backend| backend.service == name);
    }
    Ok(Json(ListReply::new(status.generation, backends)))
}

pub(super) async fn snapshot(daemon: &Daemon) -> Result<Snapshot, Failure> {
    daemon.snapshot().await.ok_or_else(Failure::unavailable)
}
