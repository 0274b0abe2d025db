//! The control loop of a site: it looks, plans, and has done what is missing.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use balancer_api::site_api::{command::SiteCommand, views::SiteView};
use balancer_core::model::City;
use balancer_host::{clock::unix_ms, health::Report};
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval},
};
use tracing::{info, warn};

use super::{
    agent::{Agent, Declaration},
    autoscaling::{Autoscaling, scaled_instances},
    cpu::{CpuMeter, CpuTimes},
    edges::Edges,
    instances::{Instances, spec},
    output,
    probes::{Probed, Probes},
    problems::Problems,
    state::SiteState,
    tasks::{Finished, Tasks},
    view::{NOT_ALIVE, Shown},
    workloads,
};
use crate::{
    runtime::{Runtime, State},
    site::{self, Action, Declared, EdgeAction, Instance, InstanceAction, StateChange, World},
};

/// How often everything is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);

/// How often CPU time is measured.
const MEASURE_INTERVAL: Duration = Duration::from_secs(2);

/// The owners of what a site knows and does, each of its own part.
pub(super) struct Controller {
    city: City,
    runtime: Arc<dyn Runtime>,
    state: SiteState,
    instances: Instances,
    agent: Agent,
    edges: Edges,
    probes: Probes,
    cpu: CpuMeter,
    autoscaling: Autoscaling,
    tasks: Tasks,
    problems: Problems,
}

impl Controller {
    pub(super) fn new(
        city: City,
        runtime: Arc<dyn Runtime>,
        state: SiteState,
        agent: Agent,
        edges: Edges,
        probes: Probes,
        autoscaling: Autoscaling,
    ) -> Self {
        Self {
            city,
            state,
            instances: Instances::new(Arc::clone(&runtime)),
            agent,
            edges,
            probes,
            cpu: CpuMeter::new(Arc::clone(&runtime)),
            autoscaling,
            tasks: Tasks::new(Arc::clone(&runtime)),
            problems: Problems::default(),
            runtime,
        }
    }

    /// Runs until `shutdown` is ready.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<SiteCommand>,
        mut reports: mpsc::Receiver<Report>,
        shutdown: impl Future<Output = ()>,
    ) {
        let (mut look, mut measure) = (every(LOOK_INTERVAL), every(MEASURE_INTERVAL));
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                command = commands.recv() => match command {
                    Some(command) => self.answer(command),
                    None => return,
                },
                Some(report) = reports.recv() => self.probes.observe(report),
                finished = self.tasks.next() => self.finish(finished),
                _ = measure.tick(), if self.instances.are_known() => self.measure(),
                used = self.cpu.next() => self.scale(&used),
                _ = look.tick() => {
                    if self.look().await {
                        self.act();
                    }
                }
            }
        }
    }

    /// Looks at everything but the edges, which are asked all the time; false if the runtime does not answer.
    async fn look(&mut self) -> bool {
        if !self.instances.refresh().await {
            return false;
        }
        self.edges.look();
        self.forget_the_gone();
        self.state.flush();
        self.declare_to_agent();
        self.agent.refresh().await;
        self.follow_probes();
        true
    }

    /// Plans, and begins all that can be done now.
    fn act(&mut self) {
        let (actions, unwanted) =
            self.with_world(|world| (site::plan(world), site::still_unwanted(world)));
        let mut changes = Vec::new();
        let mut to_edges: BTreeMap<String, Vec<EdgeAction>> = BTreeMap::new();
        for action in actions {
            match action {
                Action::Remember(change) => changes.push(change),
                Action::Instance(action) => self.start(action),
                Action::Edge { edge, action } => to_edges.entry(edge).or_default().push(action),
            }
        }
        self.remember(changes, unwanted);
        for (edge, actions) in to_edges {
            self.edges.tell(edge, actions, &mut self.tasks);
        }
    }

    /// Decides what was planned. What cannot be saved is not decided, and planned again at the next look.
    fn remember(&mut self, changes: Vec<StateChange>, unwanted: BTreeSet<Declared>) {
        if changes.is_empty() && self.state.memory().unwanted == unwanted {
            return;
        }
        let decided = self.state.commit(|memory| {
            changes.iter().for_each(|change| memory.apply(change));
            memory.unwanted = unwanted;
        });
        if decided.is_ok() {
            changes.iter().for_each(log);
        }
    }

    /// Begins something with an instance, unless something is being done with it, or failed a moment ago.
    fn start(&mut self, action: InstanceAction) {
        let name = action.name();
        if self.tasks.is_instance_busy(name) || self.problems.is_paused(name) {
            return;
        }
        match &action {
            InstanceAction::Launch { name, slug, target } => {
                if let Some(wanted) = self.state.memory().workloads.get(slug) {
                    info!("{name} is launched");
                    let spec = spec(name, target, &wanted.workload);
                    self.tasks.launch(action, spec);
                }
            }
            InstanceAction::Restart(name) => {
                let ended = self.instances.get(name).and_then(|seen| seen.state.end());
                let why = ended.unwrap_or_else(|| NOT_ALIVE.to_owned());
                warn!("{name} is restarted: {why}");
                self.tasks.restart(action);
            }
            InstanceAction::Remove(name) => {
                info!("{name} is removed");
                // The agent takes its programs off while the instance has its grace.
                self.agent.leave(name);
                self.tasks.remove(action);
            }
        }
    }

    /// Notes what came of it.
    fn finish(&mut self, finished: Finished) {
        let (action, outcome) = match finished {
            Finished::Edge { name, outcomes } => return self.edges.were_told(&name, outcomes),
            Finished::Instance { action, outcome } => (action, outcome),
        };
        match outcome {
            Err(trouble) => self.problems.note(action.name(), trouble),
            Ok(()) => {
                self.problems.clear(action.name());
                if let InstanceAction::Remove(name) = &action {
                    self.instances.forget(name);
                    self.state
                        .record(|memory| memory.leaving.remove(name).is_some());
                }
            }
        }
    }

    /// Answers, or has it answered. A reply that nobody waits for any more is not missed.
    fn answer(&mut self, command: SiteCommand) {
        match command {
            SiteCommand::PutWorkload { body, reply } => {
                let taken = workloads::put(&mut self.state, &self.city, *body);
                let _ = reply.send(taken);
            }
            SiteCommand::DeleteWorkload { slug, reply } => {
                let _ = reply.send(workloads::delete(&mut self.state, &slug));
            }
            SiteCommand::Snapshot { reply } => _ = reply.send(self.view()),
            SiteCommand::PrepareImage {
                image,
                context,
                progress,
            } => {
                let context = context.map(|tar| tar.to_vec());
                output::prepare_image(Arc::clone(&self.runtime), image, context, progress);
            }
            SiteCommand::Logs {
                slug,
                instance,
                tail,
                follow,
                reply,
            } => {
                let instances = match self.state.memory().workloads.contains_key(&slug) {
                    true => self.instances.names(&slug, instance.as_deref(), &self.city),
                    false => Err(workloads::no_workload(&slug)),
                };
                let logs = |instances| output::logs(&self.runtime, instances, tail, follow);
                let _ = reply.send(instances.map(logs));
            }
        }
    }

    /// A daemon that ended between a removal and its note left an instance that is none.
    fn forget_the_gone(&mut self) {
        let (instances, tasks) = (&self.instances, &self.tasks);
        let is_there = |name: &str| tasks.is_instance_busy(name) || instances.has(name);
        self.state.record(|memory| {
            let before = memory.leaving.len();
            memory.leaving.retain(|name, _| is_there(name));
            memory.leaving.len() != before
        });
        let workloads = &self.state.memory().workloads;
        let is_wanted = |name: &str| {
            let mut wanted = workloads.values().filter(|wanted| !wanted.removing);
            wanted.any(|wanted| wanted.names(&self.city, name))
        };
        self.problems
            .retain(|name| is_there(name) || is_wanted(name));
    }

    /// Has the agent attend every instance with a VIP until it is being removed: the agent leaves it first.
    fn declare_to_agent(&mut self) {
        let memory = self.state.memory();
        let mut declarations = Vec::new();
        for (seen, wanted) in self.instances.with_workloads(memory) {
            let name = &seen.observed.name;
            let going = memory.leaving.contains_key(name) && self.tasks.is_instance_busy(name);
            if !wanted.vips.is_empty() && !going {
                let runs = seen.observed.state == State::Running;
                declarations.push(Declaration {
                    name,
                    vips: &wanted.vips,
                    netns: runs.then_some(seen.observed.netns.as_path()),
                });
            }
        }
        self.agent.declare(&declarations);
    }

    /// Has every running instance probed. One of older containers is not asked what newer ones are.
    fn follow_probes(&mut self) {
        let mut probed = Vec::new();
        for (seen, wanted) in self.instances.with_workloads(self.state.memory()) {
            let observed = &seen.observed;
            if let (State::Running, Some(&address)) = (&observed.state, observed.addresses.first())
            {
                probed.push(Probed {
                    name: &observed.name,
                    started_unix_ms: observed.started_unix_ms,
                    address,
                    containers: match seen.digest == wanted.workload.instance_digest() {
                        true => &wanted.workload.containers,
                        false => &[],
                    },
                });
            }
        }
        self.probes.follow(&probed, unix_ms());
    }

    /// Begins to measure what the autoscalers need.
    fn measure(&self) {
        let instances = self.planned_instances();
        let names = scaled_instances(self.state.memory(), &self.city, &instances);
        self.cpu.start(names);
    }

    /// Decides how many instances there are to be.
    fn scale(&mut self, used: &CpuTimes) {
        let instances = self.planned_instances();
        let memory = self.state.memory();
        let decided = self
            .autoscaling
            .decide(memory, &self.city, &instances, used);
        self.state.record(|memory| {
            let changed = memory.replicas != decided;
            memory.replicas = decided;
            changed
        });
    }

    /// Every instance, as plans and views see it.
    fn planned_instances(&self) -> Vec<Instance> {
        self.instances
            .planned(self.state.memory(), &self.agent, &self.probes)
    }

    /// Everything that plans and views are made of, taken now.
    fn with_world<T>(&self, ask: impl FnOnce(&World<'_>) -> T) -> T {
        ask(&World {
            city: &self.city,
            memory: self.state.memory(),
            instances: &self.planned_instances(),
            edges: &self.edges.states(&self.tasks),
            now_unix_ms: unix_ms(),
        })
    }

    fn view(&self) -> SiteView {
        let workloads = self.with_world(|world| {
            let shown = Shown {
                world,
                instances: &self.instances,
                agent: &self.agent,
                autoscaling: &self.autoscaling,
                tasks: &self.tasks,
                problems: &self.problems,
            };
            shown.workloads()
        });
        let warnings = self.agent.warnings().chain(self.edges.warnings());
        let warnings = warnings
            .chain(self.state.warning())
            .chain(self.instances.warning());
        SiteView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            city: self.city.clone(),
            runtime: self.runtime.kind().to_owned(),
            workloads,
            warnings: warnings.map(str::to_owned).collect(),
        }
    }
}

fn log(change: &StateChange) {
    match change {
        StateChange::Leave { name, .. } => {
            info!("{name} takes no new connections, and goes when the old ones have ended");
        }
        StateChange::Forget(slug) => info!("{slug} is gone"),
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
