//! The control loop: the one task that owns the state and the maps, and keeps the maps true.
//!
//! Everything else sends it whole states, reports or commands. What has come in is taken together: one plan, one publication
//! and one save, however much it is.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use balancer_api::{
    command::{ChangeError, Command},
    drain_status::DrainStatus,
};
use balancer_core::{
    model::{AddressMap, BackendId, ServiceName},
    reconcile::{NextHops, Usable},
    state::{Change, Numbers, Outcome, State},
};
use balancer_host::{
    clock::{thread_time, unix_ms},
    health::{Report, Target},
    journal::Entry,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::block_in_place,
    time::{Instant, MissedTickBehavior, sleep_until},
};
use tracing::{error, info, warn};

use super::{
    announcing::Announcing,
    attachments::Attachments,
    monitor::Monitor,
    overview::{EdgeOverview, Overview, Seen, ServiceOverview},
    pace::{Pace, Urgency},
    publication::Publication,
    records::Records,
};
use crate::dataplane::{EdgePlane, EdgeProgram, PinDir};

/// The most commands, and the most reports, that are taken together.
const BATCH: usize = 512;

/// How often drains, attachments and the packet log are looked after.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// Where the ports hear what is to be watched.
pub(super) struct Watched {
    pub(super) targets: watch::Sender<Arc<BTreeSet<Target>>>,
    pub(super) addresses: watch::Sender<AddressMap<()>>,
}

/// What the control loop hears.
pub(super) struct Inputs {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) reports: mpsc::Receiver<Report>,
    pub(super) next_hops: watch::Receiver<NextHops>,
}

/// Where others see what the control loop has.
pub(super) struct Outputs {
    pub(super) watched: Watched,
    pub(super) overview: watch::Sender<Arc<Overview>>,
    /// Where drains are posted for those who wait for them.
    pub(super) drain_status: watch::Sender<DrainStatus>,
}

/// The owner of state and maps.
pub(super) struct ControlLoop {
    state: State,
    records: Records,
    plane: EdgePlane,
    pins: PinDir,
    monitor: Monitor,
    next_hops: NextHops,
    publication: Publication,
    attachments: Attachments,
    /// The VIPs that routers are told of, if they are to be told.
    announcing: Option<Announcing>,
    /// Services that are to be planned anew.
    touched: BTreeSet<ServiceName>,
    /// Services that look otherwise than the overview says.
    stale: BTreeSet<ServiceName>,
    /// Whether health is known that was not saved.
    unsaved: bool,
    pace: Pace,
    /// Why the maps are not what they should be; tried again on each tick.
    unpublished: Option<String>,
    /// Why next hops are no longer followed.
    unfollowed: Option<String>,
    overview: Overview,
    to: Outputs,
}

/// A change that was made and is yet to be answered.
type Pending = (oneshot::Sender<Result<Outcome, ChangeError>>, Outcome);

impl ControlLoop {
    pub(super) fn new(
        state: State,
        records: Records,
        plane: EdgePlane,
        pins: PinDir,
        attachments: Attachments,
        to: Outputs,
    ) -> Self {
        let mut this = Self {
            touched: state.services.names().cloned().collect(),
            monitor: Monitor::default(),
            next_hops: NextHops::default(),
            publication: Publication::default(),
            announcing: None,
            stale: BTreeSet::new(),
            unsaved: false,
            pace: Pace::new(Instant::now()),
            unpublished: None,
            unfollowed: None,
            overview: Overview::default(),
            state,
            records,
            plane,
            pins,
            attachments,
            to,
        };
        this.follow_services();
        this
    }

    /// How many addresses want a next hop.
    pub(super) fn addresses(&self) -> usize {
        self.to.watched.addresses.borrow().len()
    }

    /// Writes the maps for the first time: they may serve packets of an earlier daemon's already.
    pub(super) fn begin(&mut self, next_hops: NextHops) {
        self.next_hops = next_hops;
        self.publication
            .take_over(&self.plane, &self.state, &self.monitor, &self.next_hops);
        self.publish();
    }

    /// The program and its interfaces, until the loop runs.
    pub(super) fn attachments(&mut self) -> (&mut Attachments, &mut EdgeProgram) {
        (&mut self.attachments, self.plane.program())
    }

    /// Runs until `shutdown` is ready. The data plane goes on without it.
    pub(super) async fn run(
        mut self,
        mut from: Inputs,
        announcing: Option<Announcing>,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut tick = tokio::time::interval(TICK_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut log = self.plane.take_logger();
        let (mut commands, mut reports) = (Vec::new(), Vec::new());
        let mut reporting = true;
        tokio::pin!(shutdown);
        self.begin_announcing(announcing);
        // Before the first question: `status` says how the kernel has the program.
        self.look_after().await;
        loop {
            let rested = self.pace.rested();
            tokio::select! {
                () = &mut shutdown => break,
                count = async {
                    sleep_until(rested).await;
                    from.commands.recv_many(&mut commands, BATCH).await
                } => match count {
                    0 => break,
                    _ => self.carry_out(commands.drain(..)).await,
                },
                count = from.reports.recv_many(&mut reports, BATCH), if reporting => match count {
                    0 => reporting = false,
                    _ => self.observe(reports.drain(..)),
                },
                changed = from.next_hops.changed(), if self.unfollowed.is_none() => match changed {
                    Ok(()) => {
                        let next_hops = from.next_hops.borrow_and_update().clone();
                        self.follow_next_hops(next_hops);
                    }
                    Err(_) => self.stop_following(),
                },
                () = until(self.pace.due()) => self.publish(),
                _ = tick.tick() => {
                    self.look_after().await;
                    if let Some(log) = &mut log {
                        log.flush();
                    }
                }
            }
        }
        if !self.touched.is_empty() || self.unsaved {
            self.publish();
        }
        self.withdraw_to_stop().await;
    }

    /// Carries out commands: changes together, then the others one by one.
    async fn carry_out(&mut self, commands: impl Iterator<Item = Command>) {
        // As a whole, because each entry costs a switch to another thread.
        let others = block_in_place(|| self.carry_out_changes(commands));
        for other in others {
            match other {
                Command::Detach { reply } => drop(reply.send(self.detach().await)),
                Command::DrainEdge {
                    drained,
                    dry_run,
                    reply,
                } => drop(reply.send(self.drain_edge(drained, dry_run))),
                Command::Change { .. } => {}
            }
        }
    }

    /// Carries out the changes among commands, and gives the others.
    fn carry_out_changes(&mut self, commands: impl Iterator<Item = Command>) -> Vec<Command> {
        let mut before = self.state.clone();
        let (mut entries, mut pending): (Vec<Entry<Change>>, Vec<Pending>) = Default::default();
        let mut given_back = Numbers::default();
        let (mut changes, mut others) = (0, Vec::new());
        for command in commands {
            match command {
                Command::Change {
                    change,
                    dry_run,
                    reply,
                } => {
                    let mut entry = self.records.entry(entries.len(), change);
                    let mut result = self.state.change(&entry.change, entry.unix_ms);
                    if let Ok((state, outcome)) = &result
                        && !dry_run
                        && given_back.are_taken(&self.state, state, outcome)
                    {
                        // Packets and probes have to forget what a number meant before it means something else.
                        self.settle(before, &entries, std::mem::take(&mut pending));
                        before = self.state.clone();
                        changes += entries.len();
                        entries.clear();
                        given_back = Numbers::default();
                        entry = self.records.entry(0, entry.change);
                        result = self.state.change(&entry.change, entry.unix_ms);
                    }
                    match result {
                        Ok((_, outcome)) if dry_run => drop(reply.send(Ok(outcome))),
                        Ok((state, outcome)) => {
                            if outcome.changed {
                                given_back.add(&self.state, &state, &outcome);
                                entries.push(entry);
                            }
                            self.state = state;
                            pending.push((reply, outcome));
                        }
                        Err(refusal) => drop(reply.send(Err(refusal.into()))),
                    }
                }
                other => others.push(other),
            }
        }
        let began = thread_time();
        self.settle(before, &entries, pending);
        let busy = thread_time() - began;
        self.pace
            .changed(changes + entries.len(), busy, Instant::now());
        others
    }

    /// Has VIPs withdrawn until further notice, or announced again; nothing changes if it can't be saved.
    fn drain_edge(&mut self, drained: bool, dry_run: bool) -> Result<Outcome, ChangeError> {
        let outcome = Outcome {
            changed: self.records.local().drained != drained,
            generation: self.state.generation,
            ..Outcome::default()
        };
        if outcome.changed && !dry_run {
            let saved = block_in_place(|| self.records.set_drained(drained));
            saved.map_err(|error| not_saved(&error))?;
            self.show();
        }
        Ok(outcome)
    }

    /// Saves and publishes what changes made, then answers them; if it can't be saved, nothing changed.
    fn settle(&mut self, before: State, entries: &[Entry<Change>], pending: Vec<Pending>) {
        if pending.is_empty() {
            return;
        }
        if !entries.is_empty() {
            if let Err(error) = block_in_place(|| self.records.append(entries)) {
                self.state = before;
                error!("{error}");
                for (reply, _) in pending {
                    let _ = reply.send(Err(ChangeError::Failed(error.to_string())));
                }
                return;
            }
            self.records.checkpoint(&self.state);
            let outcomes = pending.iter().map(|(_, outcome)| outcome);
            self.touched
                .extend(outcomes.flat_map(|outcome| outcome.services.iter().cloned()));
            self.follow_services();
            self.publish();
        }
        for (reply, outcome) in pending {
            for note in &outcome.notes {
                info!("{note}");
            }
            let answer = match &self.unpublished {
                Some(fault) => Err(ChangeError::Partly(format!(
                    "saved, and tried again every second: {fault}"
                ))),
                None => Ok(outcome),
            };
            let _ = reply.send(answer);
        }
    }

    /// Takes reports in. What they change is published soon, with what follows close behind.
    fn observe(&mut self, reports: impl Iterator<Item = Report>) {
        let observed = self.monitor.observe(reports);
        self.stale.extend(observed.retold);
        let mut urgency = Urgency::FirstReport;
        for transition in observed.transitions {
            let name = format!("{}: backend {}", transition.service, transition.address);
            match transition.failure {
                Some(why) => warn!("{name} is {}: {why}", transition.health),
                None => info!("{name} is {}", transition.health),
            }
            urgency = urgency.max(Urgency::of(transition.before, transition.health));
            self.unsaved = true;
            self.touched.insert(transition.service);
        }
        self.publish_after(urgency);
    }

    /// Publishes what is touched, unless the last publication was just now: then after a rest, with what follows close behind.
    fn publish_after(&mut self, urgency: Urgency) {
        if !self.touched.is_empty() && self.pace.wants(urgency, Instant::now()) {
            self.publish();
        }
    }

    fn follow_next_hops(&mut self, next_hops: NextHops) {
        let before = std::mem::replace(&mut self.next_hops, next_hops);
        let differing = before.differing(&self.next_hops);
        self.touched.extend(self.monitor.services_at(&differing));
        self.publish_after(Urgency::Down);
    }

    fn stop_following(&mut self) {
        let fault = "routes and neighbours are no longer followed: restart lbd";
        error!("{fault}");
        self.unfollowed = Some(fault.to_owned());
    }

    /// What has to be done from time to time.
    async fn look_after(&mut self) {
        self.end_drains();
        self.attachments.look_after(self.plane.program()).await;
        match self.publication.is_in_maps() {
            true => {
                self.show();
                self.save_health();
            }
            false => self.publish(),
        }
    }

    fn end_drains(&mut self) {
        if !self.state.has_drain_over(unix_ms()) {
            return;
        }
        let before = self.state.clone();
        let entry = self.records.entry(0, Change::EndDrains);
        match self.state.change(&entry.change, entry.unix_ms) {
            Ok((state, outcome)) if outcome.changed => {
                self.state = state;
                let (reply, _) = oneshot::channel();
                self.settle(before, &[entry], vec![(reply, outcome)]);
            }
            Ok(_) => {}
            Err(refusal) => error!("drains were not ended: {refusal}"),
        }
    }

    /// Has the monitor follow the services that are touched, and the ports watch for it.
    fn follow_services(&mut self) {
        for name in &self.touched {
            let service = self.state.services.get(name).map(Arc::as_ref);
            self.monitor
                .follow(name, service, &self.records.local().health);
        }
        let watched = &self.to.watched;
        if let Some(targets) = self.monitor.take_targets() {
            watched.targets.send_replace(Arc::new(targets));
        }
        if let Some(addresses) = self.monitor.take_addresses() {
            watched.addresses.send_replace(addresses);
        }
    }

    /// Makes the maps equal to what state, health and next hops say of the services that are touched.
    fn publish(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        let began = Instant::now();
        for service in touched
            .iter()
            .filter_map(|name| self.state.services.get(name))
        {
            self.monitor.warm(service);
        }
        let result = block_in_place(|| {
            self.publication.publish(
                &mut self.plane,
                &touched,
                &self.state,
                &self.monitor,
                &self.next_hops,
            )
        });
        self.stale.extend(touched.iter().cloned());
        self.unpublished = None;
        if let Err(error) = result {
            error!("the maps were not written, and will be again: {error}");
            self.unpublished = Some(format!("the maps are not what they should be: {error}"));
            self.touched = touched;
        }
        self.show();
        self.save_health();
        self.pace.published(began, Instant::now());
    }

    /// Saves what reports brought, after it is in the maps: an edge's own view survives its restart, and losing this write costs one
    /// detection.
    fn save_health(&mut self) {
        if std::mem::take(&mut self.unsaved)
            && let Err(error) = block_in_place(|| self.records.set_health(self.monitor.healths()))
        {
            warn!("health was not saved, and will be again: {error}");
            self.unsaved = true;
        }
    }

    /// Decides what is announced, and shows how everything is now.
    fn show(&mut self) {
        let stale = std::mem::take(&mut self.stale);
        let known = |id: BackendId| self.monitor.known(id);
        let trusted = |id: BackendId| self.monitor.trusted(id);
        if let Some(announcing) = &mut self.announcing {
            let services = &self.state.services;
            announcing.follow(stale.iter().map(|name| {
                let usable = services.get(name).map(|service| {
                    let usable = Usable::of(service, &known, &trusted, &self.next_hops);
                    (service.service.key.vip, usable)
                });
                (name.clone(), usable)
            }));
            let attached = self.attachments.serve();
            announcing.decide(
                self.publication.vips(),
                attached,
                self.records.local().drained,
            );
        }
        let seen = Seen {
            known: &known,
            trusted: &trusted,
            failure: &|id| self.monitor.failure(id).map(str::to_owned),
            next_hops: &self.next_hops,
        };
        for name in stale {
            let Some(service) = self.state.services.get(&name) else {
                self.overview.services.remove_mut(&name);
                continue;
            };
            let table = self.publication.table(service.id).map(Arc::as_ref);
            let past = self.publication.past(&name);
            let overview = ServiceOverview::new(service, table, past, &seen);
            self.overview.services.insert_mut(name, Arc::new(overview));
        }
        self.overview.edge = self.edge_overview();
        self.to
            .overview
            .send_replace(Arc::new(self.overview.clone()));
        let published = self.publication.is_in_maps();
        (self.to.drain_status)
            .send_modify(|drain_status| drain_status.update(&self.state, unix_ms(), published));
    }

    fn edge_overview(&self) -> EdgeOverview {
        let mode = self.attachments.mode();
        EdgeOverview {
            generation: self.state.generation,
            interface: self.attachments.names(),
            interfaces: self.attachments.views(),
            xdp_mode: self.attachments.xdp_mode(),
            program_id: mode.map_or(0, |xdp| xdp.program_id),
            taken_over: self.attachments.taken_over(),
            warnings: self.warnings(),
            drained: self.records.local().drained,
            announce: self.announcing.as_ref().map(Announcing::overview),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let faults = self.unfollowed.iter().chain(&self.unpublished).cloned();
        let mut warnings: Vec<String> = faults.collect();
        warnings.extend(self.records.warnings());
        warnings.extend(self.attachments.warnings());
        if self.records.local().drained {
            warnings.push(
                "drained as asked: no VIP is announced until `lbctl edge undrain`".to_owned(),
            );
        }
        warnings
    }

    /// Begins to tell routers: not before this daemon is in its place, for what an earlier one announced stays until then.
    fn begin_announcing(&mut self, announcing: Option<Announcing>) {
        self.announcing = announcing;
        self.stale.extend(self.state.services.names().cloned());
    }

    /// Takes the program off, after routers were told to send nothing any more.
    async fn detach(&mut self) -> Result<(), String> {
        let before = self.attachments.set_detached(true);
        self.withdraw().await;
        let detached = self.attachments.detach(&self.pins);
        if detached.is_err() {
            self.attachments.set_detached(before);
        }
        self.show();
        detached.map_err(|error| error.to_string())
    }

    /// Withdraws what is announced before the program goes, or the daemon.
    async fn withdraw(&mut self) {
        // Before anything is asked for: the answer may be there at once.
        let had_any = self.announcing.as_ref().is_some_and(Announcing::has_any);
        self.show();
        if let Some(announcing) = &mut self.announcing {
            announcing.let_go(had_any).await;
        }
    }

    /// Withdraws before the daemon stops, if it is to.
    async fn withdraw_to_stop(&mut self) {
        if self.announcing.as_mut().is_some_and(Announcing::stop) {
            self.withdraw().await;
        }
    }
}

fn not_saved(error: &impl std::fmt::Display) -> ChangeError {
    error!("the change was not saved: {error}");
    ChangeError::Failed(format!(
        "nothing changed, because it was not saved: {error}"
    ))
}

/// Ready when it is time; never, without one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
