//! The one task that owns the state and the maps, and keeps the maps true.
//!
//! Everything else sends it whole states or commands. What comes in at once is published at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use balancer_common::abi::Traffic;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::block_in_place,
    time::MissedTickBehavior,
};
use tracing::{error, info, warn};

use super::{announcing::Announcing, attachments::Attachment};
use crate::{
    api::{
        command::{ChangeError, Command},
        views::Board,
    },
    config::EdgeConfig,
    daemon::clock::unix_ms,
    dataplane::EdgePlane,
    health::{Report, Target},
    model::{BackendId, Health, HealthState, ServiceName},
    reconcile::{self, NextHop, Plan, Step, Warming},
    state::{Change, Outcome, State},
    store::Store,
};

/// Commands that are carried out together: saved once, published once.
const BATCH: usize = 512;

/// How often drains, attachments and the packet log are looked after.
const TICK: Duration = Duration::from_secs(1);

/// The fault of maps that could not be written.
const PUBLISH: &str = "publish";

/// Where the keeper tells the ports what it wants.
pub(super) struct Wishes {
    pub(super) targets: watch::Sender<Arc<BTreeSet<Target>>>,
    pub(super) addresses: watch::Sender<BTreeSet<IpAddr>>,
}

/// Where the keeper hears from.
pub(super) struct Sources {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) reports: mpsc::Receiver<Report>,
    pub(super) next_hops: watch::Receiver<Arc<BTreeMap<IpAddr, NextHop>>>,
}

/// The owner of state and maps.
pub(super) struct Keeper {
    pub(super) config: EdgeConfig,
    pub(super) state: State,
    pub(super) store: Store<State>,
    pub(super) plane: EdgePlane,
    pub(super) wishes: Wishes,
    pub(super) next_hops: Arc<BTreeMap<IpAddr, NextHop>>,
    pub(super) health: BTreeMap<BackendId, HealthState>,
    /// Whom to trust before the first probe has ended.
    pub(super) warming: Warming,
    /// Why the last probe of a backend failed.
    pub(super) failures: BTreeMap<BackendId, String>,
    /// What is in the maps; `None` when a write failed, and they must be adopted anew.
    pub(super) published: Option<Plan>,
    /// What packets may have met while nothing is known to be published.
    pub(super) met: Plan,
    /// The services that want to know what each probe finds.
    pub(super) asking: BTreeMap<Target, Vec<ServiceName>>,
    /// Whose each backend in the maps is.
    pub(super) owners: BTreeMap<BackendId, ServiceName>,
    /// What backends were sent that are gone since, so that a service's total never shrinks.
    pub(super) retired: BTreeMap<ServiceName, Traffic>,
    /// The VIPs that routers are told of, if they are to be told.
    pub(super) announcing: Option<Announcing>,
    /// The interfaces of the configuration.
    pub(super) attachments: Vec<Attachment>,
    pub(super) taken_over: bool,
    /// Set by `lbctl detach`: the program stays away until the next start.
    pub(super) detached: bool,
    /// What goes wrong now, a sentence each; mended on the next tick, or by the operator.
    pub(super) faults: BTreeMap<&'static str, String>,
    pub(super) started: Instant,
    /// Where drains are posted for those who wait for them.
    pub(super) board: watch::Sender<Board>,
}

/// A change that was made and is yet to be answered.
type Pending = (oneshot::Sender<Result<Outcome, ChangeError>>, Outcome);

impl Keeper {
    /// Runs until `shutdown` is ready. The data plane goes on without it.
    pub(super) async fn run(mut self, mut from: Sources, shutdown: impl Future<Output = ()>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut log = self.plane.take_logger();
        let mut following = true;
        tokio::pin!(shutdown);
        // Before the first question: `status` says how the kernel has the program.
        self.look_after_attachments().await;
        self.announce();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                command = from.commands.recv() => match command {
                    Some(command) => self.commands(command, &mut from.commands).await,
                    None => break,
                },
                Some(report) = from.reports.recv() => self.report(report),
                changed = from.next_hops.changed(), if following => match changed {
                    Ok(()) => {
                        self.next_hops = Arc::clone(&from.next_hops.borrow_and_update());
                        self.publish();
                    }
                    Err(_) => {
                        following = false;
                        let fault = "routes and neighbours are no longer followed: restart lbd";
                        error!("{fault}");
                        self.faults.insert("next hops", fault.to_owned());
                    }
                },
                _ = tick.tick() => {
                    self.end_drains();
                    self.post();
                    self.look_after_attachments().await;
                    if self.published.is_none() {
                        self.publish();
                    }
                    self.announce();
                    if let Some(log) = &mut log {
                        log.flush();
                    }
                }
            }
        }
        self.withdraw_to_stop().await;
    }

    /// Carries out a command and all that wait behind it.
    async fn commands(&mut self, first: Command, waiting: &mut mpsc::Receiver<Command>) {
        let mut batch = vec![first];
        while batch.len() < BATCH {
            match waiting.try_recv() {
                Ok(command) => batch.push(command),
                Err(_) => break,
            }
        }
        let before = self.state.clone();
        let mut pending: Vec<Pending> = Vec::new();
        let mut questions = Vec::new();
        for command in batch {
            match command {
                Command::Change {
                    change,
                    dry_run,
                    reply,
                } => match self.state.change(&change, unix_ms()) {
                    Ok((_, outcome)) if dry_run => drop(reply.send(Ok(outcome))),
                    Ok((state, outcome)) => {
                        self.state = state;
                        pending.push((reply, outcome));
                    }
                    Err(refusal) => drop(reply.send(Err(refusal.into()))),
                },
                question => questions.push(question),
            }
        }
        self.settle(before, pending);
        for question in questions {
            match question {
                Command::Snapshot { reply } => drop(reply.send(self.snapshot())),
                Command::Detach { reply } => drop(reply.send(self.detach().await)),
                Command::Operations { reply } => drop(reply.send(self.board.subscribe())),
                Command::Change { .. } => {}
            }
        }
    }

    /// Saves and publishes what changes made, then answers them; if it can't be saved, nothing changed.
    fn settle(&mut self, before: State, pending: Vec<Pending>) {
        if pending.is_empty() {
            return;
        }
        if self.state != before {
            if let Err(error) = block_in_place(|| self.store.save(&self.state)) {
                self.state = before;
                error!("the state was not saved, so nothing changed: {error}");
                for (reply, _) in pending {
                    let _ = reply.send(Err(ChangeError::Failed(format!(
                        "nothing changed, because the state was not saved: {error}"
                    ))));
                }
                return;
            }
            self.publish();
            self.wish();
            self.post();
        }
        let partly = match &self.published {
            Some(_) => None,
            None => self.faults.get(PUBLISH).cloned(),
        };
        for (reply, outcome) in pending {
            for note in &outcome.notes {
                info!("{note}");
            }
            let answer = match &partly {
                Some(fault) => Err(ChangeError::Partly(format!(
                    "saved, and tried again every second: {fault}"
                ))),
                None => Ok(outcome),
            };
            let _ = reply.send(answer);
        }
    }

    fn report(&mut self, report: Report) {
        let Report { target, outcome } = report;
        let services = self.asking.get(&*target).cloned().unwrap_or_default();
        let mut changes = Vec::new();
        for service in &services {
            changes.extend(self.observe(service, &target, &outcome));
        }
        if changes.is_empty() {
            return;
        }
        self.publish();
        // An edge's own view survives its restart; losing this write costs one detection.
        self.state.health.extend(changes);
        if let Err(error) = block_in_place(|| self.store.save(&self.state)) {
            warn!("health was not saved: {error}");
        }
    }

    /// Takes in what a probe means for one service's backend; returns the backend's health if it changed.
    fn observe(
        &mut self,
        name: &ServiceName,
        target: &Target,
        outcome: &Result<(), String>,
    ) -> Option<(BackendId, Health)> {
        let service = self.state.services.get(name)?;
        let &id = service.ids.get(&target.address)?;
        let check = service.service.check.as_ref()?;
        match outcome {
            Ok(()) => drop(self.failures.remove(&id)),
            Err(why) => drop(self.failures.insert(id, why.clone())),
        }
        let health = self.health.entry(id).or_default();
        let health = health.observe(check, outcome.is_ok())?;
        let backend = format!("{name}: backend {}", target.address);
        match outcome {
            Err(why) => warn!("{backend} is {health}: {why}"),
            Ok(()) => info!("{backend} is {health}"),
        }
        Some((id, health))
    }

    /// Takes over the memory of what an earlier daemon published, before the first plan.
    pub(super) fn remember(&mut self) {
        let plan = reconcile::plan(&self.state, &|id| self.trusted(id), &self.next_hops);
        match self.plane.met(&plan) {
            Ok(met) => self.met = met,
            Err(error) => warn!("connections on substitutes may break, for {error}"),
        }
    }

    /// Makes the maps equal to what state, health and next hops say.
    pub(super) fn publish(&mut self) {
        let health = &self.health;
        let known = |id: BackendId| health.get(&id).map_or(Health::Unknown, HealthState::health);
        self.warming.follow(&self.state, &known);
        let plan = reconcile::plan(&self.state, &|id| self.trusted(id), &self.next_hops)
            .after(self.published.as_ref().unwrap_or(&self.met));
        let result = block_in_place(|| match &self.published {
            Some(published) => {
                let steps = reconcile::steps(published, &plan);
                steps.iter().try_for_each(|step| {
                    if let Step::RemoveBackend(id) = step {
                        retire(&mut self.retired, &self.owners, &self.plane, *id);
                    }
                    self.plane.apply(step)
                })
            }
            None => self.plane.adopt(&plan),
        });
        match result {
            Ok(()) => {
                self.faults.remove(PUBLISH);
                self.published = Some(plan);
            }
            Err(error) => {
                error!("the maps were not written, and will be again: {error}");
                self.faults.insert(
                    PUBLISH,
                    format!("the maps are not what they should be: {error}"),
                );
                self.published = None;
                // Some of it may be live, and what was before is in its histories.
                self.met = plan;
            }
        }
        self.announce();
    }

    /// A backend's health as its probes have it.
    pub(super) fn known(&self, id: BackendId) -> Health {
        self.health
            .get(&id)
            .map_or(Health::Unknown, HealthState::health)
    }

    /// A backend's health as the maps have it.
    pub(super) fn trusted(&self, id: BackendId) -> Health {
        self.warming.trusted(id, self.known(id))
    }

    /// Tells the ports whom to probe and whose next hop to follow.
    pub(super) fn wish(&mut self) {
        let mut addresses = BTreeSet::new();
        self.owners.clear();
        self.asking.clear();
        for (name, service) in &self.state.services {
            for (&address, &id) in &service.ids {
                self.owners.insert(id, name.clone());
                addresses.insert(address);
                if let Some(check) = &service.service.check {
                    let target = Target::of(address, check);
                    self.asking.entry(target).or_default().push(name.clone());
                }
            }
        }
        self.health.retain(|id, _| self.owners.contains_key(id));
        self.failures.retain(|id, _| self.owners.contains_key(id));
        self.retired
            .retain(|name, _| self.state.services.contains_key(name));
        let targets = self.asking.keys().cloned().collect();
        self.wishes
            .targets
            .send_if_modified(|old| replace(old, Arc::new(targets)));
        self.wishes
            .addresses
            .send_if_modified(|old| replace(old, addresses));
    }

    fn end_drains(&mut self) {
        if !self.state.has_drain_over(unix_ms()) {
            return;
        }
        let before = self.state.clone();
        match self.state.change(&Change::EndDrains, unix_ms()) {
            Ok((state, outcome)) if outcome.changed => {
                self.state = state;
                let (reply, _) = oneshot::channel();
                self.settle(before, vec![(reply, outcome)]);
            }
            Ok(_) => {}
            Err(refusal) => error!("drains were not ended: {refusal}"),
        }
    }
}

/// Adds what a backend was sent to its service's past, before its row is cleared.
fn retire(
    retired: &mut BTreeMap<ServiceName, Traffic>,
    owners: &BTreeMap<BackendId, ServiceName>,
    plane: &EdgePlane,
    id: BackendId,
) {
    let (Some(service), Ok(traffic)) = (owners.get(&id), plane.traffic(id)) else {
        return;
    };
    let sum = retired.entry(service.clone()).or_default();
    sum.packets += traffic.packets;
    sum.bytes += traffic.bytes;
}

fn replace<T: PartialEq>(old: &mut T, new: T) -> bool {
    let differs = *old != new;
    *old = new;
    differs
}
