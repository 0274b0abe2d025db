//! An edge of the site: asked again and again, and told what is new.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::sync::watch;

use crate::{
    api::{
        client::{Client, ClientError, How},
        requests::{CheckBody, DeclarationBody},
        views::OperationState,
    },
    model::{BackendState, Check, CheckKind, Encapsulation, HashPolicy, ServiceName},
    site::{Action, Backend, CheckSpec, Declared, Edge, EdgeView, Event, ServiceSpec, What},
    workload::{City, ProbeKind},
};

/// How often an edge is asked.
const PACE: Duration = Duration::from_millis(300);

/// An edge, and what this daemon knows of it.
pub(super) struct EdgeLink {
    client: Client,
    seen: watch::Receiver<Option<Seen>>,
    told: BTreeMap<(ServiceName, IpAddr), u64>,
    declared: BTreeMap<ServiceName, ServiceSpec>,
    /// When it was last told something.
    acted: Instant,
}

/// What an edge said.
struct Seen {
    asked: Instant,
    said: Result<EdgeView, String>,
}

impl EdgeLink {
    /// Begins to ask it.
    pub(super) fn start(client: Client) -> Self {
        let (news, seen) = watch::channel(None);
        let asking = client.clone();
        tokio::spawn(async move {
            loop {
                let asked = Instant::now();
                let said = ask(&asking).await.map_err(|error| error.to_string());
                if news.send(Some(Seen { asked, said })).is_err() {
                    return;
                }
                tokio::time::sleep(PACE).await;
            }
        });
        Self {
            client,
            seen,
            told: BTreeMap::new(),
            declared: BTreeMap::new(),
            acted: Instant::now(),
        }
    }

    /// What a plan may build on.
    pub(super) fn edge(&self) -> Edge {
        match &*self.seen.borrow() {
            Some(seen) if seen.asked >= self.acted => match &seen.said {
                Ok(view) => Edge::Seen(EdgeView {
                    told: self.told.clone(),
                    declared: self.declared.clone(),
                    ..view.clone()
                }),
                Err(_) => Edge::Unreachable,
            },
            _ => Edge::Pending,
        }
    }

    /// Why it does not answer, if it does not.
    pub(super) fn trouble(&self) -> Option<String> {
        match &*self.seen.borrow() {
            Some(Seen {
                said: Err(trouble), ..
            }) => Some(trouble.clone()),
            _ => None,
        }
    }

    /// Who is told.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Notes that it has taken an action.
    pub(super) fn has_taken(&mut self, action: &Action) {
        match action {
            Action::Declare { service, .. } => {
                self.declared.insert(service.name.clone(), service.clone());
            }
            Action::Withdraw { service, .. } => {
                self.declared.remove(service);
                self.told.retain(|(of, _), _| of != service);
            }
            Action::Tell { event, .. } if event.what == What::Launched => {
                let key = (event.service.clone(), event.address);
                self.told.insert(key, event.incarnation);
            }
            _ => {}
        }
    }

    /// Notes that it was told something just now, so that what it said before counts no more.
    pub(super) fn was_told(&mut self) {
        self.acted = Instant::now();
    }
}

async fn ask(client: &Client) -> Result<EdgeView, ClientError> {
    let services = client.services().await?.items;
    let backends = client.backends(None).await?.items;
    let operations = client.operations().await?.items;
    let done = operations
        .into_iter()
        .filter(|operation| operation.state == OperationState::Done);
    Ok(EdgeView {
        services: services
            .into_iter()
            .map(|service| Declared {
                name: service.name,
                vip: service.vip,
                port: service.port,
                protocol: service.protocol,
            })
            .collect(),
        backends: backends
            .into_iter()
            .map(|backend| {
                let draining = backend.state == BackendState::Draining;
                ((backend.service, backend.address), Backend { draining })
            })
            .collect(),
        done: done.map(|operation| operation.id).collect::<BTreeSet<_>>(),
        ..EdgeView::default()
    })
}

/// Who speaks, and where sockets are counted.
#[derive(Clone)]
pub(super) struct Speaker {
    pub(super) city: City,
    /// The URL of the host's agent.
    pub(super) agent: String,
}

/// Tells an edge one thing.
pub(super) async fn tell(
    client: &Client,
    speaker: &Speaker,
    action: &Action,
) -> Result<(), ClientError> {
    match action {
        Action::Declare { service, .. } => {
            let body = declaration(service);
            client.declare_service(&service.name, &body).await.map(drop)
        }
        Action::Withdraw { service, .. } => {
            let how = How {
                now: true,
                force: true,
                ..How::default()
            };
            client.remove_service(service, how).await.map(drop)
        }
        Action::Tell { event, .. } => client
            .send_event(&cloud_event(speaker, event))
            .await
            .map(drop),
        _ => Ok(()),
    }
}

fn declaration(service: &ServiceSpec) -> DeclarationBody {
    DeclarationBody {
        vip: service.vip,
        port: service.port,
        protocol: service.protocol,
        encapsulation: Encapsulation::Gue,
        hash: HashPolicy::Flow,
        check: service
            .check
            .as_ref()
            .map(|check| CheckBody::from(&edge_check(check))),
        drain_timeout_ms: service.drain_timeout_ms,
    }
}

fn edge_check(check: &CheckSpec) -> Check {
    let (kind, port) = match &check.kind {
        ProbeKind::Tcp { port } => (CheckKind::Tcp, *port),
        ProbeKind::Http { port, path } => (CheckKind::Http { path: path.clone() }, *port),
    };
    Check {
        kind,
        port,
        interval_ms: check.interval_ms,
        timeout_ms: check.timeout_ms,
        rise: 1,
        fall: check.fall,
    }
}

fn cloud_event(speaker: &Speaker, event: &Event) -> Value {
    let (kind, deadline) = match event.what {
        What::Launched => ("launched", None),
        What::Terminating { deadline_unix_ms } => ("terminating", Some(deadline_unix_ms)),
        What::Terminated => ("terminated", None),
    };
    let mut data = json!({
        "service": event.service,
        "address": event.address,
        "incarnation": event.incarnation,
    });
    if let Some(deadline) = deadline.and_then(rfc3339) {
        data["deadline"] = deadline.into();
    }
    if event.what == What::Launched {
        data["agent"] = speaker.agent.as_str().into();
        if let Some(instance) = &event.instance {
            data["instance"] = instance.as_str().into();
        }
    }
    json!({
        "specversion": "1.0",
        "id": format!("{kind}-{}-{}-{}", event.service, event.address, event.incarnation),
        "source": format!("/site/{}", speaker.city),
        "type": format!("backend.{kind}"),
        "data": data,
    })
}

fn rfc3339(unix_ms: u64) -> Option<String> {
    let nanos = i128::from(unix_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    time.format(&Rfc3339).ok()
}
