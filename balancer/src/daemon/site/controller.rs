//! The one task that owns what a site remembers: it looks, plans, and has things done.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc,
    task::block_in_place,
    time::{MissedTickBehavior, interval},
};
use tracing::warn;

use super::{
    dropins::DropIns,
    edges::EdgeLink,
    probes::{Probed, Probes},
    scaling::Scaling,
    tasks::Tasks,
    view::is_of,
};
use crate::{
    api::{client::Client, views::SocketQuery},
    daemon::keeper::unix_ms,
    health::Report,
    runtime::{Observed, Runtime, State},
    site::{Edge, Instance, Life, Memory, World, services},
    site_api::command::SiteCommand,
    store::Store,
    workload::{City, Label},
};

/// How often everything is looked at.
const TICK: Duration = Duration::from_millis(300);

/// How often CPU time is measured.
const MEASURE: Duration = Duration::from_secs(2);

/// Labels of instances.
pub(super) const SLUG: &str = "workload";
pub(super) const TARGET: &str = "target";
pub(super) const DIGEST: &str = "digest";

/// The owner of a site's memory.
pub(super) struct Controller {
    pub(super) city: City,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) store: Store<Memory>,
    pub(super) memory: Memory,
    pub(super) edges: BTreeMap<String, EdgeLink>,
    pub(super) agent: Client,
    pub(super) dropins: DropIns,
    pub(super) probes: Probes,
    pub(super) scaling: Scaling,
    pub(super) tasks: Tasks,
    /// What the runtime last showed.
    pub(super) observed: Vec<Observed>,
    /// The instances that the agent attends.
    pub(super) attended: BTreeSet<String>,
    /// What an instance could not be launched or restarted for, and when it is tried again.
    pub(super) problems: BTreeMap<String, (String, Instant)>,
    /// What goes wrong now, a sentence each.
    pub(super) warnings: BTreeMap<String, String>,
}

impl Controller {
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
        let mut seen = false;
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                Some(report) = reports.recv() => self.probes.hear(report),
                done = self.tasks.done() => self.take_in(done),
                // Nobody is counted before everybody was seen.
                _ = measure.tick(), if seen => self.measure(measured_in.clone()),
                Some(used) = measured.recv() => self.scale(&used),
                _ = tick.tick() => {
                    if self.look().await {
                        seen = true;
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

    pub(super) fn warn(&mut self, about: &str, sentence: String) {
        if self.warnings.get(about) != Some(&sentence) {
            warn!("{sentence}");
            self.warnings.insert(about.to_owned(), sentence);
        }
    }

    /// A daemon that ended between a removal and its note has this left.
    fn forget_who_is_gone(&mut self) {
        let before = self.memory.leaving.len();
        let (observed, tasks) = (&self.observed, &self.tasks);
        self.memory.leaving.retain(|name, _| {
            tasks.is_busy(name) || observed.iter().any(|instance| &instance.name == name)
        });
        let gone = self.memory.leaving.len() != before;
        self.problems.retain(|name, _| {
            tasks.is_busy(name)
                || observed.iter().any(|instance| &instance.name == name)
                || self
                    .memory
                    .workloads
                    .values()
                    .any(|wanted| !wanted.removing && is_of(wanted, &self.city, name))
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
                && self.tasks.is_busy(&instance.name);
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
                // An old one is not judged by what new ones are asked.
                let is_fresh =
                    instance.labels.get(DIGEST) == Some(&wanted.workload.instance_digest());
                probed.push(Probed {
                    name: &instance.name,
                    started_unix_ms: instance.started_unix_ms,
                    address,
                    containers: match is_fresh {
                        true => &wanted.workload.containers,
                        false => &[],
                    },
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
            let state = match self.tasks.is_busy(name) {
                true => Edge::Pending,
                false => link.edge(),
            };
            (name.clone(), state)
        };
        self.edges.iter().map(state).collect()
    }

    /// Keeps what was decided; it is planned again if a crash comes first.
    pub(super) fn save(&mut self) -> bool {
        match block_in_place(|| self.store.save(&self.memory)) {
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

    /// The VIPs of every workload but one.
    pub(super) fn vips_of_others(&self, slug: &Label) -> BTreeMap<IpAddr, Label> {
        let others = self.memory.workloads.iter().filter(|(of, _)| *of != slug);
        others
            .flat_map(|(of, wanted)| wanted.vips.iter().map(|vip| (*vip, of.clone())))
            .collect()
    }
}
