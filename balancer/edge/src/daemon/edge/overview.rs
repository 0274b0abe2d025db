//! What the control loop shows of itself, and who shows it: looking takes nothing from the loop.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use balancer_api::{
    command::Look,
    drain_status::DrainStatus,
    views::{
        self, BackendView, CheckedHealth, InterfaceStatus, ReasonCount, ServiceView, Snapshot,
        StatusView, XdpAttachment,
    },
};
use balancer_common::{
    Reason,
    abi::{self, Traffic},
    reason::Verdict,
};
use balancer_core::{
    model::{BackendId, BackendState, Health, ServiceName},
    reconcile::{self, NextHop, NextHops},
    state::ServiceState,
    table::Table,
};
use balancer_host::clock::thread_time;
use rpds::RedBlackTreeMapSync;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
    time::sleep,
};
use tracing::warn;

use super::{announcing::Announced, rows::Past};
use crate::dataplane::Counters;

/// How many times longer than a snapshot kept a processor busy it takes until the next one.
const REST: u32 = 4;

/// The longest rest: whoever looks has ten seconds.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// How often counters are read again because what they are of has changed meanwhile.
const TRIES: u32 = 3;

/// Everything that can be seen but counters; a value that the control loop replaces, and anybody reads.
#[derive(Clone, Default)]
pub(super) struct Overview {
    pub(super) edge: EdgeOverview,
    /// Shared with the overview before, as far as nothing has changed.
    pub(super) services: RedBlackTreeMapSync<ServiceName, Arc<ServiceOverview>>,
}

/// The edge as a whole.
#[derive(Clone, Default)]
pub(super) struct EdgeOverview {
    pub(super) generation: u64,
    pub(super) interface: String,
    pub(super) interfaces: Vec<InterfaceStatus>,
    pub(super) xdp_mode: XdpAttachment,
    pub(super) program_id: u32,
    pub(super) taken_over: bool,
    /// What an operator should know, a sentence each; what services are at fault comes behind.
    pub(super) warnings: Vec<String>,
    pub(super) drained: bool,
    pub(super) announce: Option<Announced>,
}

/// A service, without its counters.
pub(super) struct ServiceOverview {
    view: ServiceView,
    backends: Vec<BackendOverview>,
    past: Past,
}

struct BackendOverview {
    id: BackendId,
    next_hop: Option<NextHop>,
    view: BackendView,
}

/// How backends are seen by who owns what is known of them.
pub(super) struct Seen<'a> {
    /// A backend's health as probes have it.
    pub(super) known: &'a dyn Fn(BackendId) -> Health,
    /// A backend's health as the maps have it.
    pub(super) trusted: &'a dyn Fn(BackendId) -> Health,
    /// Why its last probe failed.
    pub(super) failure: &'a dyn Fn(BackendId) -> Option<String>,
    pub(super) next_hops: &'a NextHops,
}

impl ServiceOverview {
    /// `table`: the one that packets meet, if that is known.
    pub(super) fn new(
        service: &ServiceState,
        table: Option<&Table>,
        past: Past,
        seen: &Seen<'_>,
    ) -> Self {
        let shares = table.map(Table::shares).unwrap_or_default();
        let backends: Vec<BackendOverview> = service
            .ids
            .iter()
            .filter_map(|(&address, &id)| {
                let backend = service.service.backends.get(&address)?;
                let view = BackendView {
                    service: service.service.name.clone(),
                    address,
                    weight: backend.weight.get(),
                    state: reconcile::backend_state(service, address, seen.trusted),
                    health: match service.service.check {
                        Some(_) => (seen.known)(id).into(),
                        None => CheckedHealth::Unchecked,
                    },
                    slots: shares.get(&id).copied().unwrap_or_default(),
                    packets: 0,
                    bytes: 0,
                    next_hop: None,
                    last_check: (seen.failure)(id),
                };
                let next_hop = seen.next_hops.get(&address).copied();
                Some(BackendOverview { id, next_hop, view })
            })
            .collect();
        let key = service.service.key;
        let active = |backend: &&BackendOverview| backend.view.state == BackendState::Active;
        let view = ServiceView {
            name: service.service.name.clone(),
            vip: key.vip,
            port: key.port,
            protocol: key.protocol,
            encapsulation: service.service.encapsulation,
            hash: service.service.hash,
            slots: service.table.slots(),
            generation: service.generation,
            backends: backends.len(),
            active: backends.iter().filter(active).count(),
            fails_open: reconcile::fails_open(service, seen.trusted, seen.next_hops),
            packets: 0,
            bytes: 0,
            check: service
                .service
                .check
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        };
        Self {
            view,
            backends,
            past,
        }
    }

    /// The service and its backends with what they were sent; `row` reads a counter row.
    fn counted(
        &self,
        row: &dyn Fn(BackendId) -> Traffic,
        names: &mut InterfaceNames,
    ) -> (ServiceView, Vec<BackendView>) {
        let mut service = self.view.clone();
        let standing = self.past.rows.iter().map(|&id| row(id));
        for sent in standing.chain([self.past.retired]) {
            service.packets += sent.packets;
            service.bytes += sent.bytes;
        }
        let mut backends = Vec::with_capacity(self.backends.len());
        for backend in &self.backends {
            let sent = row(backend.id);
            service.packets += sent.packets;
            service.bytes += sent.bytes;
            backends.push(BackendView {
                packets: sent.packets,
                bytes: sent.bytes,
                next_hop: backend.next_hop.as_ref().map(|hop| names.describe(hop)),
                ..backend.view.clone()
            });
        }
        (service, backends)
    }
}

/// Answers looks until nobody can ask any more, beside the control loop: reading counters takes system calls.
///
/// Takes one snapshot at a time and [rests](REST) between two, so that snapshots need a bounded part of a processor however many
/// look. Whoever looks while one is taken gets the next one.
pub(super) async fn show(
    mut looks: mpsc::Receiver<Look>,
    drain_status: watch::Sender<DrainStatus>,
    take: impl Fn() -> Snapshot + Clone + Send + 'static,
) {
    let mut waiting = Vec::new();
    let mut busy = None;
    loop {
        tokio::select! {
            look = looks.recv() => match look {
                Some(Look::Operations { reply }) => drop(reply.send(drain_status.subscribe())),
                Some(Look::Snapshot { reply }) => waiting.push(reply),
                None => return,
            },
            () = async {
                match &mut busy {
                    Some(answering) => answering.await,
                    None => pending().await,
                }
            } => busy = None,
        }
        if busy.is_none() && !waiting.is_empty() {
            let asked = std::mem::take(&mut waiting);
            busy = Some(Box::pin(answer(asked, take.clone())));
        }
    }
}

/// Gives all who ask the same snapshot, and rests.
async fn answer(
    asked: Vec<oneshot::Sender<Arc<Snapshot>>>,
    take: impl FnOnce() -> Snapshot + Send + 'static,
) {
    let taken = spawn_blocking(move || {
        let began = thread_time();
        let snapshot = Arc::new(take());
        for reply in asked {
            // Who no longer waits does not miss it.
            let _ = reply.send(Arc::clone(&snapshot));
        }
        thread_time() - began
    });
    // A snapshot that panicked was none: who asked sees that.
    sleep(rest(taken.await.unwrap_or_default())).await;
}

/// How long to rest after a snapshot that kept a processor busy for so long. What it waited for a processor does not count, or on
/// a busy machine those who look would be cut off.
fn rest(busy: Duration) -> Duration {
    (REST * busy).min(LONGEST_REST)
}

/// A way to take snapshots, from whatever thread.
pub(super) fn snapshots(
    overview: watch::Receiver<Arc<Overview>>,
    counters: Counters,
    started: Instant,
) -> impl Fn() -> Snapshot + Clone + Send + 'static {
    move || snapshot(&overview, &counters, started)
}

/// Everything, taken at one moment.
fn snapshot(
    overview: &watch::Receiver<Arc<Overview>>,
    counters: &Counters,
    started: Instant,
) -> Snapshot {
    let mut tries = 1;
    loop {
        let seen = Arc::clone(&overview.borrow());
        let snapshot = counted(&seen, counters, started);
        // A row that was given to another backend meanwhile would be counted for the one before.
        if tries == TRIES || Arc::ptr_eq(&seen, &overview.borrow()) {
            return snapshot;
        }
        tries += 1;
    }
}

fn counted(overview: &Overview, counters: &Counters, started: Instant) -> Snapshot {
    let row = |id| counters.traffic(id).unwrap_or_default();
    let mut names = InterfaceNames::default();
    let mut snapshot = Snapshot::default();
    for service in overview.services.values() {
        let (service, backends) = service.counted(&row, &mut names);
        snapshot.services.push(service);
        snapshot.backends.extend(backends);
    }
    let reasons = counters.reasons().unwrap_or_else(|error| {
        warn!("{error}");
        Vec::new()
    });
    let edge = overview.edge.clone();
    let announce = edge.announce.as_ref().map(Announced::view);
    let mut warnings = edge.warnings;
    if let Some(error) = announce.as_ref().and_then(|view| view.error.as_ref()) {
        warnings.push(format!("VIPs are not announced as wanted: {error}"));
    }
    let failing = snapshot
        .services
        .iter()
        .filter(|service| service.fails_open);
    warnings.extend(failing.map(|service| {
        format!(
            "{}: no backend is usable, so all of them get packets",
            service.name
        )
    }));
    snapshot.status = StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        abi_version: abi::VERSION,
        generation: edge.generation,
        interface: edge.interface,
        interfaces: edge.interfaces,
        xdp_mode: edge.xdp_mode,
        program_id: edge.program_id,
        taken_over: edge.taken_over,
        uptime_seconds: started.elapsed().as_secs(),
        services: snapshot.services.len(),
        backends: snapshot.backends.len(),
        reasons: reasons.into_iter().map(reason_count).collect(),
        warnings,
        drained: edge.drained,
        announce,
    };
    snapshot
}

/// Interfaces' names by number, each asked for once a look.
#[derive(Default)]
struct InterfaceNames(BTreeMap<u32, String>);

impl InterfaceNames {
    /// A next hop, for people.
    fn describe(&mut self, hop: &NextHop) -> String {
        let name = self.0.entry(hop.interface).or_insert_with(|| {
            nix::net::if_::if_indextoname(hop.interface)
                .ok()
                .and_then(|name| name.into_string().ok())
                .unwrap_or_else(|| hop.interface.to_string())
        });
        let mac = hop
            .destination_mac
            .map(|byte| format!("{byte:02x}"))
            .join(":");
        let tags: String = (hop.tags.iter().flatten())
            .map(|&[_, _, high, low]| format!(" vlan {}", u16::from_be_bytes([high, low]) & 0xfff))
            .collect();
        format!("{mac} dev {name}{tags}")
    }
}

pub(in crate::daemon) fn reason_count((reason, traffic): (Reason, Traffic)) -> ReasonCount {
    ReasonCount {
        reason: reason.name().to_owned(),
        verdict: match reason.verdict() {
            Verdict::Pass => views::Verdict::Pass,
            Verdict::Drop => views::Verdict::Drop,
            Verdict::Answer => views::Verdict::Answer,
        },
        packets: traffic.packets,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use balancer_core::state::State;

    use super::*;

    #[test]
    fn a_look_is_never_held_up_for_long_by_the_one_before() {
        assert_eq!(rest(Duration::from_millis(8)), Duration::from_millis(32));
        assert_eq!(rest(Duration::from_secs(3)), LONGEST_REST);
    }

    // Promise: O3
    #[tokio::test]
    async fn who_looks_while_a_snapshot_is_taken_shares_the_next_one() {
        let (asked, looks) = mpsc::channel(16);
        let (go, gone) = channel::<()>();
        let (begun, mut begins) = mpsc::unbounded_channel();
        let gone = Arc::new(Mutex::new(gone));
        let take = move || {
            begun.send(()).unwrap();
            gone.lock().unwrap().recv().unwrap();
            Snapshot::default()
        };
        let shown = tokio::spawn(show(
            looks,
            watch::Sender::new(DrainStatus::new(State::new(7), 0, true)),
            take,
        ));
        let look = || {
            let (reply, answer) = oneshot::channel();
            asked.try_send(Look::Snapshot { reply }).unwrap();
            answer
        };
        let first = look();
        begins.recv().await.unwrap();
        let (second, third) = (look(), look());
        // What takes no counters is answered at once.
        let (reply, drain_status) = oneshot::channel();
        asked.send(Look::Operations { reply }).await.unwrap();
        drain_status.await.unwrap();
        go.send(()).unwrap();
        let first = first.await.unwrap();
        go.send(()).unwrap();
        let (second, third) = (second.await.unwrap(), third.await.unwrap());
        assert!(Arc::ptr_eq(&second, &third));
        assert!(!Arc::ptr_eq(&first, &second));
        drop(asked);
        shown.await.unwrap();
    }
}
