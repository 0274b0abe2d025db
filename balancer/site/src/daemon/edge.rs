//! An edge of the site: asked again and again what it has, and what it took of what it was told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use balancer_api::{
    client::{Client, ClientError},
    views::OperationState,
};
use balancer_core::model::{BackendState, Service, ServiceKey, ServiceName};
use tokio::sync::watch;

use super::warning::Warning;
use crate::site::{Backend, Declared, Edge, EdgeAction, EdgeView, What};

/// How often an edge is asked.
const ASK_INTERVAL: Duration = Duration::from_millis(300);

/// An edge, and what this daemon knows of it.
pub(super) struct EdgeLink {
    client: Client,
    seen: watch::Receiver<Option<Seen>>,
    /// Which life of each backend it was told of.
    told: BTreeMap<(ServiceName, IpAddr), u64>,
    /// What it was last told of each service.
    declared: BTreeMap<ServiceName, Service>,
    /// When it was last told something: answers to earlier questions say nothing of that.
    told_at: Instant,
    silent: Warning,
    refusing: Warning,
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
        tokio::spawn(ask_forever(client.clone(), news));
        Self {
            client,
            seen,
            told: BTreeMap::new(),
            declared: BTreeMap::new(),
            told_at: Instant::now(),
            silent: Warning::default(),
            refusing: Warning::default(),
        }
    }

    /// What a plan may build on.
    pub(super) fn edge(&self) -> Edge {
        match &*self.seen.borrow() {
            Some(seen) if seen.asked >= self.told_at => match &seen.said {
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

    /// The way to tell it something.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// It is being told something: until it was asked again, nobody knows what it has.
    pub(super) fn telling(&mut self) {
        self.told_at = Instant::now();
    }

    /// It was told something, with this outcome.
    pub(super) fn was_told(
        &mut self,
        name: &str,
        action: &EdgeAction,
        outcome: Result<(), String>,
    ) {
        self.told_at = Instant::now();
        match outcome {
            Ok(()) => {
                self.refusing.clear();
                self.has_taken(action);
            }
            Err(trouble) => self.refusing.raise(format!("edge {name}: {trouble}")),
        }
    }

    fn has_taken(&mut self, action: &EdgeAction) {
        match action {
            EdgeAction::Declare(service) => {
                self.declared.insert(service.name.clone(), service.clone());
            }
            EdgeAction::Withdraw(service) => {
                self.declared.remove(service);
                self.told.retain(|(of, _), _| of != service);
            }
            EdgeAction::Tell(event) => {
                if event.what == What::Launched {
                    let key = (event.service.clone(), event.address);
                    self.told.insert(key, event.incarnation);
                }
            }
        }
    }

    /// Notices whether it answers.
    pub(super) fn look(&mut self, name: &str) {
        match &*self.seen.borrow() {
            Some(Seen {
                said: Err(trouble), ..
            }) => self
                .silent
                .raise_once(format!("edge {name} does not answer: {trouble}")),
            _ => self.silent.clear(),
        }
    }

    /// What goes wrong now, a sentence each.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &str> {
        let warnings = [&self.silent, &self.refusing];
        warnings.into_iter().filter_map(Warning::sentence)
    }
}

/// Asks until nobody wants to know any more.
async fn ask_forever(client: Client, news: watch::Sender<Option<Seen>>) {
    loop {
        let asked = Instant::now();
        let said = ask(&client).await.map_err(|error| error.to_string());
        if news.send(Some(Seen { asked, said })).is_err() {
            return;
        }
        tokio::time::sleep(ASK_INTERVAL).await;
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
                key: ServiceKey {
                    vip: service.vip,
                    port: service.port,
                    protocol: service.protocol,
                },
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
