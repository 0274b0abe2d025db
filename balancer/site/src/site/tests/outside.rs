//! The world outside of a site's daemon, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use balancer_api::site_api::views::Phase;
use balancer_config::workload::{Container, Port, Target, Workload};
use balancer_core::{
    model::{City, Protocol},
    state::OperationId,
};

use super::super::*;

pub(super) fn label(text: &str) -> Label {
    text.parse().unwrap()
}

pub(super) fn city() -> City {
    "SEA".parse().unwrap()
}

pub(super) fn wanted(image: &str, min_replicas: u32) -> Wanted {
    let port = Port {
        name: label("http"),
        port: 8000,
        protocol: Protocol::Tcp,
        public: true,
    };
    let container = Container {
        name: label("app"),
        image: image.to_owned(),
        command: Vec::new(),
        ports: vec![port],
        cpu_millis: 200,
        memory_bytes: 1 << 27,
        env: BTreeMap::new(),
        sensitive: BTreeSet::new(),
        readiness: None,
        liveness: None,
    };
    let target = Target {
        name: label("global"),
        min_replicas,
        max_replicas: 8,
        cpu_percent: Some(50),
        cities: vec![city()],
    };
    Wanted {
        workload: Workload {
            name: "web".to_owned(),
            slug: label("web"),
            anycast: true,
            containers: vec![container],
            targets: vec![target],
        },
        vips: vec![Ipv4Addr::new(198, 51, 100, 1).into()],
        drain_timeout_ms: 30_000,
        removing: false,
    }
}

/// The world outside of the daemon: what it does not lose in a crash.
pub(super) struct Outside {
    pub(super) memory: Memory,
    pub(super) instances: Vec<Instance>,
    pub(super) edges: BTreeMap<String, Edge>,
    pub(super) now: u64,
    /// When a drain has to be over: begun two seconds before.
    pub(super) drains: BTreeMap<(String, OperationId), u64>,
    pub(super) launched: u8,
}

impl Outside {
    pub(super) fn new(image: &str, min_replicas: u32, edges: usize) -> Outside {
        let mut memory = Memory::default();
        memory
            .workloads
            .insert(label("web"), wanted(image, min_replicas));
        let edges = (0..edges).map(|n| (format!("edge-{n}"), Edge::Seen(EdgeView::default())));
        Outside {
            memory,
            instances: Vec::new(),
            edges: edges.collect(),
            now: 1_000_000,
            drains: BTreeMap::new(),
            launched: 0,
        }
    }

    pub(super) fn with<T>(&self, ask: impl FnOnce(&World<'_>) -> T) -> T {
        let city = city();
        ask(&World {
            city: &city,
            memory: &self.memory,
            instances: &self.instances,
            edges: &self.edges,
            now_unix_ms: self.now,
        })
    }

    pub(super) fn plan(&self) -> Vec<Action> {
        self.with(plan)
    }

    /// Half a second passes: what was started is ready, drains come to their end.
    pub(super) fn pass(&mut self) {
        self.now += 500;
        for instance in &mut self.instances {
            instance.ready = instance.life == Life::Running;
        }
        for ((edge, id), over) in &self.drains {
            if let Some(Edge::Seen(view)) = self.edges.get_mut(edge)
                && self.now >= *over
            {
                view.done.insert(id.clone());
            }
        }
    }

    pub(super) fn carry_out(&mut self, action: Action) {
        match action {
            Action::Remember(change) => self.memory.apply(&change),
            Action::Instance(InstanceAction::Launch { name, slug, target }) => {
                self.launch(name, slug, target);
            }
            Action::Instance(InstanceAction::Restart(name)) => {
                let instance = self.instances.iter_mut().find(|each| each.name == name);
                let instance = instance.expect("only what is there is restarted");
                instance.life = Life::Running;
                instance.incarnation = self.now;
                instance.restarts += 1;
            }
            Action::Instance(InstanceAction::Remove(name)) => self.remove(&name),
            Action::Edge { edge, action } => match action {
                EdgeAction::Declare(service) => {
                    let view = self.view(&edge);
                    view.services.insert(Declared::from(&service));
                    view.declared.insert(service.name.clone(), service);
                }
                EdgeAction::Withdraw(service) => {
                    let view = self.view(&edge);
                    view.services.retain(|has| has.name != service);
                    view.backends.retain(|(of, _), _| *of != service);
                }
                EdgeAction::Tell(event) => self.hear(&edge, event),
            },
        }
    }

    pub(super) fn launch(&mut self, name: String, slug: Label, target: Label) {
        self.instances.retain(|each| each.name != name);
        self.launched += 1;
        self.instances.push(Instance {
            name,
            digest: self.memory.workloads[&slug].workload.instance_digest(),
            slug,
            target,
            address: Some(Ipv4Addr::new(10, 1, 8, self.launched).into()),
            incarnation: self.now,
            life: Life::Running,
            restarts: 0,
            ready: false,
            dead: false,
        });
        self.instances.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// The one thing that must never be too early.
    pub(super) fn remove(&mut self, name: &str) {
        let instance = self.instances.iter().find(|each| each.name == name);
        let instance = instance.expect("only what is there is removed");
        let deadline = self.memory.leaving[name];
        for (edge, seen) in &self.edges {
            let sends = match seen {
                Edge::Seen(view) => view
                    .backends
                    .keys()
                    .any(|(_, of)| Some(*of) == instance.address),
                Edge::Pending => true,
                Edge::Unreachable => self.now < deadline,
            };
            assert!(!sends, "{name} is removed while {edge} sends it packets");
        }
        self.instances.retain(|each| each.name != name);
        self.memory.leaving.remove(name);
    }

    pub(super) fn view(&mut self, edge: &str) -> &mut EdgeView {
        match self.edges.get_mut(edge) {
            Some(Edge::Seen(view)) => view,
            other => panic!("{edge} is told something, but is {other:?}"),
        }
    }

    pub(super) fn hear(&mut self, edge: &str, event: Event) {
        let key = (event.service.clone(), event.address);
        let id = OperationId {
            service: event.service,
            address: event.address,
            incarnation: event.incarnation,
        };
        let now = self.now;
        let drain = (edge.to_owned(), id.clone());
        match event.what {
            What::Launched => {
                let view = self.view(edge);
                view.backends
                    .insert(key.clone(), Backend { draining: false });
                view.told.insert(key, event.incarnation);
            }
            What::Terminating { .. } => {
                self.view(edge)
                    .backends
                    .insert(key, Backend { draining: true });
                self.drains.entry(drain).or_insert(now + 2_000);
            }
            What::Terminated => {
                let instance = self
                    .instances
                    .iter()
                    .find(|each| each.address == Some(key.1));
                if let Some(instance) = instance {
                    let deadline = self.memory.leaving[&instance.name];
                    let over = self.drains.get(&drain).is_some_and(|over| now >= *over);
                    assert!(
                        over || now >= deadline,
                        "{key:?} is cut off before it drained"
                    );
                }
                self.view(edge).backends.remove(&key);
            }
        }
    }

    /// A daemon that crashes forgets what it told the edges.
    pub(super) fn crash(&mut self) {
        for edge in self.edges.values_mut() {
            if let Edge::Seen(view) = edge {
                view.told.clear();
                view.declared.clear();
            }
        }
    }

    pub(super) fn is_converged(&self) -> bool {
        let wanted = &self.memory.workloads[&label("web")];
        self.with(|world| is_converged(world, &label("web"), wanted))
    }

    pub(super) fn serving(&self) -> usize {
        self.with(|world| {
            let phases = world.instances.iter().map(|each| phase(world, each));
            phases.filter(|phase| *phase == Phase::Serving).count()
        })
    }

    /// Carries everything out until it is there.
    pub(super) fn settle(&mut self) {
        for _ in 0..400 {
            if self.is_converged() && self.plan().is_empty() {
                return;
            }
            for action in self.plan() {
                self.carry_out(action);
            }
            self.pass();
        }
        panic!("it does not get there: {:?}", self.plan());
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.instances
            .iter()
            .map(|each| each.name.as_str())
            .collect()
    }
}
