//! The routes that change.

use axum::{Json, extract::State};
use balancer_core::{
    model::{BackendSpec, DeclarationSpec, Service, ServiceSpec},
    state::{Change, Outcome, Refusal},
};
use serde::Deserialize;

use super::{
    Daemon,
    extract::{Asked, AtBackend, Body, InService},
    failure::Failure,
    reads::snapshot,
};
use crate::{
    command::Command,
    replies::ChangeReply,
    requests::{DesiredBody, WeightBody},
    views::{OutcomeView, XdpAttachment},
};

/// The query of changes that nothing needs to be forced for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Plain {
    dry_run: bool,
}

/// The query of changes that may empty a service.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Forceable {
    force: bool,
    dry_run: bool,
}

/// The query of removals.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Removal {
    now: bool,
    force: bool,
    dry_run: bool,
}

type Changed = Result<Json<ChangeReply>, Failure>;

pub(super) async fn add_service(
    State(daemon): State<Daemon>,
    Asked(Plain { dry_run }): Asked<Plain>,
    Body(spec): Body<ServiceSpec>,
) -> Changed {
    change(&daemon, Change::AddService(resolved(spec)?), dry_run).await
}

fn resolved(spec: ServiceSpec) -> Result<Service, Failure> {
    let name = spec.name.clone();
    let service = spec.resolve();
    service.map_err(|broken| Refusal::invalid(&name, broken).into())
}

pub(super) async fn declare_service(
    State(daemon): State<Daemon>,
    InService(name): InService,
    Asked(Plain { dry_run }): Asked<Plain>,
    Body(spec): Body<DeclarationSpec>,
) -> Changed {
    let service = spec.resolve(name.clone());
    let service = service.map_err(|broken| Refusal::invalid(&name, broken))?;
    change(&daemon, Change::DeclareService(service), dry_run).await
}

pub(super) async fn remove_service(
    State(daemon): State<Daemon>,
    InService(name): InService,
    Asked(Removal {
        now,
        force,
        dry_run,
    }): Asked<Removal>,
) -> Changed {
    change(&daemon, Change::RemoveService { name, now, force }, dry_run).await
}

pub(super) async fn add_backend(
    State(daemon): State<Daemon>,
    InService(service): InService,
    Asked(Plain { dry_run }): Asked<Plain>,
    Body(spec): Body<BackendSpec>,
) -> Changed {
    change(
        &daemon,
        Change::AddBackend {
            service,
            backend: spec.into(),
        },
        dry_run,
    )
    .await
}

pub(super) async fn remove_backend(
    State(daemon): State<Daemon>,
    AtBackend(service, address): AtBackend,
    Asked(Removal {
        now,
        force,
        dry_run,
    }): Asked<Removal>,
) -> Changed {
    change(
        &daemon,
        Change::RemoveBackend {
            service,
            address,
            now,
            force,
        },
        dry_run,
    )
    .await
}

pub(super) async fn drain(
    State(daemon): State<Daemon>,
    AtBackend(service, address): AtBackend,
    Asked(Forceable { force, dry_run }): Asked<Forceable>,
) -> Changed {
    change(
        &daemon,
        Change::Drain {
            service,
            address,
            force,
        },
        dry_run,
    )
    .await
}

pub(super) async fn set_weight(
    State(daemon): State<Daemon>,
    AtBackend(service, address): AtBackend,
    Asked(Forceable { force, dry_run }): Asked<Forceable>,
    Body(WeightBody { weight }): Body<WeightBody>,
) -> Changed {
    change(
        &daemon,
        Change::SetWeight {
            service,
            address,
            weight,
            force,
        },
        dry_run,
    )
    .await
}

pub(super) async fn apply(
    State(daemon): State<Daemon>,
    Asked(asked): Asked<Forceable>,
    Body(body): Body<DesiredBody>,
) -> Changed {
    let services = body.services.into_iter().map(resolved);
    let services = services.collect::<Result<Vec<_>, _>>()?;
    // Both places can say so; a wish not to change anything must not get lost in either.
    let (force, dry_run) = (body.force || asked.force, body.dry_run || asked.dry_run);
    change(&daemon, Change::Apply { services, force }, dry_run).await
}

pub(super) async fn drain_edge(
    State(daemon): State<Daemon>,
    Asked(Plain { dry_run }): Asked<Plain>,
) -> Changed {
    set_drained(&daemon, true, dry_run).await
}

pub(super) async fn undrain_edge(
    State(daemon): State<Daemon>,
    Asked(Plain { dry_run }): Asked<Plain>,
) -> Changed {
    set_drained(&daemon, false, dry_run).await
}

async fn set_drained(daemon: &Daemon, drained: bool, dry_run: bool) -> Changed {
    let outcome = daemon
        .ask(|reply| Command::DrainEdge {
            drained,
            dry_run,
            reply,
        })
        .await;
    let outcome = outcome.ok_or_else(Failure::unavailable)??;
    Ok(Json(ChangeReply::new(
        outcome.generation,
        dry_run,
        OutcomeView::from(&outcome),
    )))
}

pub(super) async fn detach(
    State(daemon): State<Daemon>,
    Asked(Plain { dry_run }): Asked<Plain>,
) -> Changed {
    let status = snapshot(&daemon).await?.status.clone();
    let attached = status.xdp_mode != XdpAttachment::Detached;
    if !dry_run {
        let detached = daemon.ask(|reply| Command::Detach { reply }).await;
        detached
            .ok_or_else(Failure::unavailable)?
            .map_err(Failure::failed)?;
    }
    let outcome = OutcomeView {
        changed: attached,
        ..OutcomeView::default()
    };
    Ok(Json(ChangeReply::new(status.generation, dry_run, outcome)))
}

async fn change(daemon: &Daemon, change: Change, dry_run: bool) -> Changed {
    let outcome = outcome_of(daemon, change, dry_run).await?;
    Ok(Json(ChangeReply::new(
        outcome.generation,
        dry_run,
        OutcomeView::from(&outcome),
    )))
}

pub(super) async fn outcome_of(
    daemon: &Daemon,
    change: Change,
    dry_run: bool,
) -> Result<Outcome, Failure> {
    let outcome = daemon
        .ask(|reply| Command::Change {
            change,
            dry_run,
            reply,
        })
        .await;
    Ok(outcome.ok_or_else(Failure::unavailable)??)
}
