//! The one task that owns what a site remembers: it looks, plans, and has things done.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use tokio::{
    sync::mpsc,
    task::block_in_place,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use super::{
    dropins::DropIns,
    edges::EdgeLink,
    memory::MemoryFile,
    probes::{Probed, Probes},
    scaling::{Measured, Scaling, TargetKey},
    work::{Done, Work},
};
use crate::{
    api::{client::Client, views::SocketQuery},
    daemon::keeper::unix_ms,
    health::Report,
    runtime::{InstanceSpec, Observed, Runtime, State},
    site::{self, Action, Edge, Instance, Life, Memory, World, services},
    site_api::command::SiteCommand,
    workload::{City, Label, Target},
};

/// How often everything is looked at.
const TICK: Duration = Duration::from_millis(300);

/// How often CPU time is measured.
const MEASURE: Duration = Duration::from_secs(2);

/// How long what failed is left alone.
const PAUSE: Duration = Duration::from_secs(3);

/// How much CPU time each instance has used, in nanoseconds, and when; `None` if it was not to be had.
type CpuTimes = BTreeMap<String, Option<(Instant, u64)>>;

/// Labels of instances.
const SLUG: &str = "workload";
const TARGET: &str = "target";
const DIGEST: &str = "digest";

/// The owner of a site's memory.
pub(super) struct Keeper {
    pub(super) city: City,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) file: MemoryFile,
    pub(super) memory: Memory,
    pub(super) edges: BTreeMap<String, EdgeLink>,
    pub(super) agent: Client,
    pub(super) dropins: DropIns,
    pub(super) probes: Probes,
    pub(super) scaling: Scaling,
    pub(super) work: Work,
    /// What the runtime last showed.
    pub(super) observed: Vec<Observed>,
    /// The instances that the agent attends.
    pub(super) attended: BTreeSet<String>,
    /// What an instance could not be launched or restarted for, and when it is tried again.
    pub(super) problems: BTreeMap<String, (String, Instant)>,
    /// What goes wrong now, a sentence each.
    pub(super) warnings: BTreeMap<String, String>,
}

impl Keeper {
    /// Runs until `shutdown` is ready.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<SiteCommand>,
        mut reports: mpsc::Receiver<Report>,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut measure = interval(MEASURE);
        measure.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (measured_in, mut measured) = mpsc::channel(1);
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                Some(report) = reports.recv() => self.probes.hear(report),
                done = self.work.done() => self.take_in(done),
                _ = measure.tick() => self.measure(measured_in.clone()),
                Some(used) = measured.recv() => self.scale(&used),
                _ = tick.tick() => {
                    if self.look().await {
                        self.act();
                    }
                }
            }
        }
    }

    /// Looks at everything but the edges, which are asked all the time; whether all of it was seen.
    async fn look(&mut self) -> bool {
        match self.runtime.list().await {
            Ok(observed) => {
                self.warnings.remove("runtime");
                self.observed = observed;
            }
            Err(error) => {
                self.warn("runtime", format!("instances are not seen: {error}"));
                return false;
            }
        }
        for (name, link) in &self.edges {
            let key = format!("edge {name}");
            match link.trouble() {
                Some(trouble) => {
                    if !self.warnings.contains_key(&key) {
                        warn!("{name} does not answer: {trouble}");
                    }
                    self.warnings
                        .insert(key, format!("edge {name} does not answer: {trouble}"));
                }
                None => drop(self.warnings.remove(&key)),
            }
        }
        self.forget_who_is_gone();
        self.declare_to_agent();
        self.ask_agent().await;
        self.follow_probes();
        true
    }

    fn warn(&mut self, about: &str, sentence: String) {
        if self.warnings.get(about) != Some(&sentence) {
            warn!("{sentence}");
            self.warnings.insert(about.to_owned(), sentence);
        }
    }

    /// A daemon that ended between a removal and its note has this left.
    fn forget_who_is_gone(&mut self) {
        let before = self.memory.leaving.len();
        let (observed, work) = (&self.observed, &self.work);
        self.memory.leaving.retain(|name, _| {
            work.is_busy(name) || observed.iter().any(|instance| &instance.name == name)
        });
        let gone = self.memory.leaving.len() != before;
        self.problems.retain(|name, _| {
            work.is_busy(name)
                || observed.iter().any(|instance| &instance.name == name)
                || self.memory.workloads.values().any(|wanted| {
                    name.starts_with(&format!("{}-", wanted.workload.slug)) && !wanted.removing
                })
        });
        if gone {
            self.save();
        }
    }

    /// Has the agent attend who runs, until it is removed.
    fn declare_to_agent(&mut self) {
        let mut names = BTreeSet::new();
        let mut failed = None;
        for instance in &self.observed {
            let Some(wanted) = instance
                .labels
                .get(SLUG)
                .and_then(|slug| slug.parse::<Label>().ok())
                .and_then(|slug| self.memory.workloads.get(&slug))
            else {
                continue;
            };
            // One that is being removed is left by the agent first.
            let going = self.memory.leaving.contains_key(&instance.name)
                && self.work.is_busy(&instance.name);
            if wanted.vips.is_empty() || going {
                continue;
            }
            names.insert(instance.name.as_str());
            if instance.state == State::Running {
                let put = self
                    .dropins
                    .put(&instance.name, &instance.netns, &wanted.vips);
                failed = put.err().or(failed);
            }
        }
        failed = self.dropins.retain(&names).err().or(failed);
        match failed {
            Some(error) => self.warn(
                "agent",
                format!("the agent is not told of instances: {error}"),
            ),
            None => drop(self.warnings.remove("agent")),
        }
    }

    /// Finds out whom the agent attends: until then packets would be lost.
    async fn ask_agent(&mut self) {
        let mut attended = BTreeSet::new();
        let mut queries = Vec::new();
        for wanted in self.memory.workloads.values() {
            for vip in &wanted.vips {
                let port = wanted.workload.ports().next();
                queries.extend(port.map(|port| SocketQuery {
                    vip: *vip,
                    port: port.port,
                    protocol: port.protocol,
                }));
            }
        }
        for query in queries {
            match self.agent.sockets(&query).await {
                Ok(sockets) => {
                    self.warnings.remove("attended");
                    attended.extend(sockets.items.into_iter().map(|view| view.instance));
                }
                Err(error) => {
                    self.warn(
                        "attended",
                        format!("the host's agent does not answer: {error}"),
                    );
                    // Nobody who was attended is not so for that.
                    attended.extend(self.attended.iter().cloned());
                    break;
                }
            }
        }
        self.attended = attended;
    }

    fn follow_probes(&mut self) {
        let mut probed = Vec::new();
        for instance in &self.observed {
            let wanted = instance
                .labels
                .get(SLUG)
                .and_then(|slug| slug.parse::<Label>().ok())
                .and_then(|slug| self.memory.workloads.get(&slug));
            if let (Some(wanted), Some(&address), State::Running) =
                (wanted, instance.addresses.first(), &instance.state)
            {
                probed.push(Probed {
                    name: &instance.name,
                    started_unix_ms: instance.started_unix_ms,
                    address,
                    containers: &wanted.workload.containers,
                });
            }
        }
        self.probes.follow(&probed, unix_ms());
    }

    /// Every instance, as plans and people see it.
    pub(super) fn instances(&self) -> Vec<Instance> {
        self.observed
            .iter()
            .filter_map(|seen| {
                let slug: Label = seen.labels.get(SLUG)?.parse().ok()?;
                let wanted = self.memory.workloads.get(&slug);
                let started = seen.started_unix_ms;
                let life = match seen.state {
                    State::Running => Life::Running,
                    State::Exited { at_unix_ms, .. } => Life::Ended(at_unix_ms),
                    State::Incomplete => Life::Incomplete,
                };
                let reached = wanted.is_none_or(|wanted| services(wanted).is_empty())
                    || self.attended.contains(&seen.name);
                Some(Instance {
                    slug,
                    target: seen.labels.get(TARGET)?.parse().ok()?,
                    digest: seen.labels.get(DIGEST)?.clone(),
                    address: seen.addresses.first().copied(),
                    incarnation: started,
                    life,
                    restarts: seen.restarts,
                    ready: reached && self.probes.is_ready(&seen.name, started),
                    dead: !self.probes.is_alive(&seen.name, started),
                    name: seen.name.clone(),
                })
            })
            .collect()
    }

    /// What plans and views are made of.
    pub(super) fn with_world<T>(&self, ask: impl FnOnce(&World<'_>) -> T) -> T {
        let (instances, edges) = (self.instances(), self.edge_states());
        ask(&World {
            city: &self.city,
            memory: &self.memory,
            instances: &instances,
            edges: &edges,
            replicas: &self.scaling.replicas,
            now_unix_ms: unix_ms(),
        })
    }

    fn edge_states(&self) -> BTreeMap<String, Edge> {
        let state = |(name, link): (&String, &EdgeLink)| {
            let state = match self.work.is_busy(name) {
                true => Edge::Pending,
                false => link.edge(),
            };
            (name.clone(), state)
        };
        self.edges.iter().map(state).collect()
    }

    /// Has everything done that can be done now.
    fn act(&mut self) {
        let actions = self.with_world(site::plan);
        let mut to_edges: BTreeMap<String, Vec<Action>> = BTreeMap::new();
        let mut remembered = false;
        for action in actions {
            match &action {
                Action::Leave {
                    name,
                    deadline_unix_ms,
                } => {
                    info!("{name} takes no new connections, and goes when the old ones have ended");
                    self.memory.leaving.insert(name.clone(), *deadline_unix_ms);
                    remembered = true;
                }
                Action::Forget(slug) => {
                    info!("{slug} is gone");
                    self.memory.workloads.remove(slug);
                    remembered = true;
                }
                Action::Declare { edge, .. }
                | Action::Withdraw { edge, .. }
                | Action::Tell { edge, .. } => {
                    to_edges.entry(edge.clone()).or_default().push(action);
                }
                Action::Launch { name, .. } | Action::Restart(name) | Action::Remove(name) => {
                    let name = name.clone();
                    self.start(action, name);
                }
            }
        }
        if remembered {
            self.save();
        }
        for (edge, actions) in to_edges {
            if let Some(link) = self.edges.get_mut(&edge) {
                link.was_told();
                let client = link.client();
                self.work.tell(edge, client, actions);
            }
        }
    }

    fn start(&mut self, action: Action, name: String) {
        let paused = self
            .problems
            .get(&name)
            .is_some_and(|(_, until)| Instant::now() < *until);
        if self.work.is_busy(&name) || paused {
            return;
        }
        match &action {
            Action::Launch { slug, target, .. } => {
                let Some(wanted) = self.memory.workloads.get(slug) else {
                    return;
                };
                let labels = [
                    (SLUG, slug.to_string()),
                    (TARGET, target.to_string()),
                    (DIGEST, wanted.workload.instance_digest()),
                ];
                let spec = InstanceSpec {
                    name: name.clone(),
                    labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
                    containers: wanted.workload.containers.clone(),
                };
                info!("{name} is launched");
                self.work.launch(action, spec);
            }
            Action::Restart(_) => {
                warn!("{name} has ended or does not answer: restarted");
                self.work.restart(action, name);
            }
            Action::Remove(_) => {
                info!("{name} is removed");
                self.work.remove(action, name.clone());
                // The agent takes its programs off while the instance has its grace.
                if let Err(error) = self.dropins.remove(&name) {
                    self.warn(
                        "agent",
                        format!("the agent is not told of instances: {error}"),
                    );
                }
            }
            _ => {}
        }
    }

    /// Takes in what was done.
    fn take_in(&mut self, done: Done) {
        let Done { subject, outcomes } = done;
        for (action, outcome) in outcomes {
            if let Some(link) = self.edges.get_mut(&subject) {
                link.was_told();
                match outcome {
                    Ok(()) => {
                        self.warnings.remove(&subject);
                        link.has_taken(&action);
                    }
                    Err(trouble) => self.warn(&subject, format!("edge {subject}: {trouble}")),
                }
                continue;
            }
            match (outcome, action) {
                (Ok(()), Action::Remove(name)) => {
                    self.memory.leaving.remove(&name);
                    self.observed.retain(|seen| seen.name != name);
                    self.save();
                }
                (Ok(()), _) => drop(self.problems.remove(&subject)),
                (Err(trouble), _) => {
                    let said = self.problems.get(&subject).map(|(said, _)| said);
                    if said != Some(&trouble) {
                        error!("{subject}: {trouble}");
                    }
                    let until = Instant::now() + PAUSE;
                    self.problems.insert(subject.clone(), (trouble, until));
                }
            }
        }
    }

    /// Keeps what was decided; it is planned again if a crash comes first.
    pub(super) fn save(&mut self) -> bool {
        match block_in_place(|| self.file.save(&self.memory)) {
            Ok(()) => {
                self.warnings.remove("memory");
                true
            }
            Err(error) => {
                self.warn(
                    "memory",
                    format!("the site's memory was not saved: {error}"),
                );
                false
            }
        }
    }

    /// The targets that follow their load.
    fn scaled_targets(&self) -> Vec<(Label, Target)> {
        let workloads = self.memory.workloads.iter();
        workloads
            .flat_map(|(slug, wanted)| {
                let targets = wanted.targets(&self.city);
                targets.map(|target| (slug.clone(), target.clone()))
            })
            .filter(|(_, target)| target.cpu_percent.is_some())
            .collect()
    }

    /// Has CPU time measured, beside everything else: an engine takes its time for it.
    fn measure(&self, measured: mpsc::Sender<CpuTimes>) {
        let targets = self.scaled_targets();
        let names: Vec<String> = self
            .instances()
            .into_iter()
            .filter(|each| {
                let of = |(slug, target): &(Label, Target)| {
                    slug == &each.slug && target.name == each.target
                };
                targets.iter().any(of)
            })
            .map(|each| each.name)
            .collect();
        let runtime = Arc::clone(&self.runtime);
        tokio::spawn(async move {
            // While the last one is under way, another would say nothing new.
            let Ok(place) = measured.try_reserve() else {
                return;
            };
            let used = names.into_iter().map(|name| async {
                let used = runtime.cpu_ns(&name).await.ok();
                (name, used.map(|used| (Instant::now(), used)))
            });
            place.send(join_all(used).await.into_iter().collect());
        });
    }

    /// Decides how many instances there are to be.
    fn scale(&mut self, used: &CpuTimes) {
        let instances = self.instances();
        let targets = self.scaled_targets();
        for (slug, target) in &targets {
            let containers = &self.memory.workloads[slug].workload.containers;
            let request = containers.iter().map(|each| u64::from(each.cpu_millis));
            let request_millis: u64 = request.sum();
            let staying = instances.iter().filter(|each| {
                &each.slug == slug
                    && each.target == target.name
                    && !self.memory.leaving.contains_key(&each.name)
            });
            let measured: Vec<Measured> = staying
                .map(|instance| Measured {
                    name: instance.name.clone(),
                    request_millis,
                    ready: instance.ready && instance.life == Life::Running,
                    used: used.get(&instance.name).copied().flatten(),
                })
                .collect();
            self.scaling.decide(slug, target, &measured);
        }
        let keys: Vec<TargetKey> = targets
            .iter()
            .map(|(slug, target)| (slug.clone(), target.name.clone()))
            .collect();
        let names: Vec<&str> = instances.iter().map(|each| each.name.as_str()).collect();
        self.scaling.retain(&keys, &names);
    }

    /// The VIPs of every workload but one.
    pub(super) fn vips_of_others(&self, slug: &Label) -> BTreeMap<IpAddr, Label> {
        let others = self.memory.workloads.iter().filter(|(of, _)| *of != slug);
        others
            .flat_map(|(of, wanted)| wanted.vips.iter().map(|vip| (*vip, of.clone())))
            .collect()
    }
}
