//! A site with a runtime and edges that live in memory: whatever happens, it gets there, and nobody is cut off on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::{
    model::Protocol,
    state::OperationId,
    workload::{City, Container, Port, Target, Workload},
};

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

fn city() -> City {
    "SEA".parse().unwrap()
}

fn wanted(image: &str, min_replicas: u32) -> Wanted {
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
struct Outside {
    memory: Memory,
    instances: Vec<Instance>,
    edges: BTreeMap<String, Edge>,
    now: u64,
    /// When a drain has to be over: begun two seconds before.
    drains: BTreeMap<(String, OperationId), u64>,
    launched: u8,
}

impl Outside {
    fn new(image: &str, min_replicas: u32, edges: usize) -> Outside {
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

    fn with<T>(&self, ask: impl FnOnce(&World<'_>) -> T) -> T {
        let (city, replicas) = (city(), BTreeMap::new());
        ask(&World {
            city: &city,
            memory: &self.memory,
            instances: &self.instances,
            edges: &self.edges,
            replicas: &replicas,
            now_unix_ms: self.now,
        })
    }

    fn plan(&self) -> Vec<Action> {
        self.with(plan)
    }

    /// Half a second passes: what was started is ready, drains come to their end.
    fn pass(&mut self) {
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

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Launch { name, slug, target } => self.launch(name, slug, target),
            Action::Restart(name) => {
                let instance = self.instances.iter_mut().find(|each| each.name == name);
                let instance = instance.expect("only what is there is restarted");
                instance.life = Life::Running;
                instance.incarnation = self.now;
                instance.restarts += 1;
            }
            Action::Leave {
                name,
                deadline_unix_ms,
            } => _ = self.memory.leaving.insert(name, deadline_unix_ms),
            Action::Remove(name) => self.remove(&name),
            Action::Declare { edge, service } => {
                let view = self.view(&edge);
                view.services.insert(service.name.clone());
                view.declared.insert(service.name.clone(), service);
            }
            Action::Withdraw { edge, service } => {
                let view = self.view(&edge);
                view.services.remove(&service);
                view.backends.retain(|(of, _), _| *of != service);
            }
            Action::Tell { edge, event } => self.hear(&edge, event),
            Action::Forget(slug) => _ = self.memory.workloads.remove(&slug),
        }
    }

    fn launch(&mut self, name: String, slug: Label, target: Label) {
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
    fn remove(&mut self, name: &str) {
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

    fn view(&mut self, edge: &str) -> &mut EdgeView {
        match self.edges.get_mut(edge) {
            Some(Edge::Seen(view)) => view,
            other => panic!("{edge} is told something, but is {other:?}"),
        }
    }

    fn hear(&mut self, edge: &str, event: Event) {
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
    fn crash(&mut self) {
        for edge in self.edges.values_mut() {
            if let Edge::Seen(view) = edge {
                view.told.clear();
                view.declared.clear();
            }
        }
    }

    fn is_converged(&self) -> bool {
        let wanted = &self.memory.workloads[&label("web")];
        self.with(|world| is_converged(world, &label("web"), wanted))
    }

    fn serving(&self) -> usize {
        self.with(|world| {
            let phases = world.instances.iter().map(|each| phase(world, each));
            phases.filter(|phase| *phase == Phase::Serving).count()
        })
    }

    /// Carries everything out until it is there.
    fn settle(&mut self) {
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

    fn names(&self) -> Vec<&str> {
        self.instances
            .iter()
            .map(|each| each.name.as_str())
            .collect()
    }
}

#[test]
fn instances_are_launched_under_the_lowest_free_names_and_told_to_every_edge() {
    let mut outside = Outside::new("web:1", 3, 2);
    outside.settle();
    assert_eq!(
        outside.names(),
        ["web-global-sea-0", "web-global-sea-1", "web-global-sea-2"]
    );
    for edge in outside.edges.values() {
        let Edge::Seen(view) = edge else { panic!() };
        assert_eq!(view.backends.len(), 3);
        assert!(view.services.contains(&"web-http".parse().unwrap()));
    }
}

#[test]
fn fewer_replicas_take_the_last_ones_after_they_drained() {
    let mut outside = Outside::new("web:1", 3, 2);
    outside.settle();
    let before = outside.now;
    outside
        .memory
        .workloads
        .insert(label("web"), wanted("web:1", 2));
    outside.settle();
    assert_eq!(outside.names(), ["web-global-sea-0", "web-global-sea-1"]);
    assert!(
        outside.now - before >= 2_000,
        "it did not wait for the drain"
    );
}

#[test]
fn other_containers_replace_one_after_the_other_and_never_serve_fewer() {
    let mut outside = Outside::new("web:1", 3, 1);
    outside.settle();
    outside
        .memory
        .workloads
        .insert(label("web"), wanted("web:2", 3));
    for _ in 0..200 {
        for action in outside.plan() {
            outside.carry_out(action);
        }
        outside.pass();
        let leaving = outside.memory.leaving.len();
        assert!(outside.serving() >= 3, "only {} serve", outside.serving());
        assert!(
            outside.instances.len() - leaving <= 4,
            "more than one too many"
        );
    }
    assert!(outside.is_converged());
    let digest = wanted("web:2", 3).workload.instance_digest();
    assert!(outside.instances.iter().all(|each| each.digest == digest));
}

#[test]
fn a_workload_that_is_to_go_drains_and_leaves_nothing() {
    let mut outside = Outside::new("web:1", 2, 2);
    outside.settle();
    outside
        .memory
        .workloads
        .get_mut(&label("web"))
        .unwrap()
        .removing = true;
    for _ in 0..40 {
        for action in outside.plan() {
            outside.carry_out(action);
        }
        outside.pass();
    }
    assert!(outside.memory.workloads.is_empty() && outside.instances.is_empty());
    for edge in outside.edges.values() {
        let Edge::Seen(view) = edge else { panic!() };
        assert!(view.services.is_empty() && view.backends.is_empty());
    }
}

#[test]
fn one_that_ended_is_restarted_after_a_wait_that_doubles() {
    assert_eq!(
        [0, 1, 2, 3, 40].map(super::instances::backoff_ms),
        [0, 1_000, 2_000, 4_000, 300_000]
    );
    let mut outside = Outside::new("web:1", 1, 1);
    outside.settle();
    outside.instances[0].restarts = 2;
    outside.instances[0].life = Life::Ended(outside.now);
    let name = outside.instances[0].name.clone();
    assert!(!outside.plan().contains(&Action::Restart(name.clone())));
    outside.now += 2_000;
    assert!(outside.plan().contains(&Action::Restart(name)));
}

#[test]
fn an_edge_that_does_not_answer_holds_up_nobody_but_until_the_deadline() {
    let mut outside = Outside::new("web:1", 2, 2);
    outside.settle();
    let lost = outside.edges.insert("edge-1".to_owned(), Edge::Unreachable);
    outside
        .memory
        .workloads
        .insert(label("web"), wanted("web:1", 3));
    outside.settle();
    outside
        .memory
        .workloads
        .insert(label("web"), wanted("web:1", 2));
    let before = outside.now;
    outside.settle();
    assert!(
        outside.now - before >= 30_000,
        "the lost edge may still send packets"
    );
    // It comes back with what it had, and hears of everything that it missed.
    outside.edges.insert("edge-1".to_owned(), lost.unwrap());
    outside.settle();
    let addresses: BTreeSet<IpAddr> = outside
        .instances
        .iter()
        .filter_map(|each| each.address)
        .collect();
    let Edge::Seen(view) = &outside.edges["edge-1"] else {
        panic!()
    };
    assert_eq!(
        view.backends
            .keys()
            .map(|(_, address)| *address)
            .collect::<BTreeSet<_>>(),
        addresses
    );
}

#[test]
fn a_backend_that_is_nobodys_is_terminated() {
    let mut outside = Outside::new("web:1", 1, 1);
    outside.settle();
    let stranger: IpAddr = Ipv4Addr::new(10, 1, 8, 99).into();
    let key = ("web-http".parse().unwrap(), stranger);
    outside
        .view("edge-0")
        .backends
        .insert(key.clone(), Backend { draining: false });
    for action in outside.plan() {
        outside.carry_out(action);
    }
    assert!(!outside.view("edge-0").backends.contains_key(&key));
}

/// What happens to a site.
#[derive(Clone, Debug)]
enum Happening {
    Replicas(u32),
    Image(bool),
    Crash,
    /// Only so many of the next actions are carried out.
    Only(usize),
    End(usize),
    Lose(usize),
    Find,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (1..5_u32).prop_map(Happening::Replicas),
        any::<bool>().prop_map(Happening::Image),
        Just(Happening::Crash),
        (0..4_usize).prop_map(Happening::Only),
        (0..5_usize).prop_map(Happening::End),
        (0..2_usize).prop_map(Happening::Lose),
        Just(Happening::Find),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Removal before its time is caught by `Outside` itself.
    #[test]
    fn whatever_happens_it_gets_there_and_nobody_is_cut_off(
        happenings in prop::collection::vec(happening(), 0..24)
    ) {
        let mut outside = Outside::new("web:1", 2, 2);
        let mut lost: BTreeMap<String, Edge> = BTreeMap::new();
        for happening in happenings {
            let mut most = usize::MAX;
            match happening {
                Happening::Replicas(count) => {
                    let image = outside.memory.workloads[&label("web")].workload.containers[0].image.clone();
                    outside.memory.workloads.insert(label("web"), wanted(&image, count));
                }
                Happening::Image(other) => {
                    let count = outside.memory.workloads[&label("web")].workload.targets[0].min_replicas;
                    let image = if other { "web:2" } else { "web:1" };
                    outside.memory.workloads.insert(label("web"), wanted(image, count));
                }
                Happening::Crash => outside.crash(),
                Happening::Only(count) => most = count,
                Happening::End(index) => {
                    let now = outside.now;
                    if let Some(instance) = outside.instances.get_mut(index) {
                        instance.life = Life::Ended(now);
                    }
                }
                Happening::Lose(index) => {
                    let name = format!("edge-{index}");
                    if let Some(edge) = outside.edges.insert(name.clone(), Edge::Unreachable) {
                        lost.entry(name).or_insert(edge);
                    }
                }
                Happening::Find => outside.edges.extend(std::mem::take(&mut lost)),
            }
            for action in outside.plan().into_iter().take(most) {
                outside.carry_out(action);
            }
            outside.pass();
        }
        outside.edges.extend(lost);
        outside.settle();
    }
}
