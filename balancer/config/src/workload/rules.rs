//! What a set of workloads must fulfil beyond what its types say, whoever declares it: a file or the API.

use std::collections::{BTreeMap, BTreeSet};

use super::{Container, Target, Workload};

/// A rule that a workload breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which of the workloads, counted from 0 in the order in which they were given.
    pub workload: usize,
    /// The path of what breaks it, such as `container[0].port[1].name`.
    pub path: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub expected: String,
}

/// The most instances of a target in a city.
pub const MAX_REPLICAS: u32 = 1_000;

/// The longest name that an agent and an edge take.
const LONGEST_NAME: usize = 63;

/// Checks a whole set of workloads and returns every rule that one breaks.
pub fn check<'a>(workloads: impl IntoIterator<Item = &'a Workload>) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut slugs = BTreeSet::new();
    // Names of one may be those of another: a-b and c, a and b-c.
    let (mut services, mut instances) = (BTreeMap::new(), BTreeMap::new());
    for (index, workload) in workloads.into_iter().enumerate() {
        let mut alone = Checked {
            workload: index,
            broken: Vec::new(),
        };
        alone.workload(workload);
        if !slugs.insert(&workload.slug) {
            let problem = format!("another workload has the slug {:?}", workload.slug.as_str());
            alone.breaks("slug", problem, "a slug of its own");
            broken.append(&mut alone.broken);
            // Whatever is named after it would be named twice, too.
            continue;
        }
        for (c, container) in workload.containers.iter().enumerate() {
            for (p, port) in container.ports.iter().enumerate() {
                let name = format!("{}-{}", workload.slug, port.name);
                let other = services.insert(name.clone(), index);
                if other.is_some_and(|other| other != index) {
                    let path = format!("container[{c}].port[{p}].name");
                    let problem = format!("another workload has the service `{name}`");
                    alone.breaks(&path, problem, "another slug or port name");
                }
            }
        }
        for (t, target) in workload.targets.iter().enumerate() {
            let name = format!("{}-{}", workload.slug, target.name);
            let other = instances.insert(name.clone(), index);
            if other.is_some_and(|other| other != index) {
                let path = format!("target[{t}].name");
                let problem = format!("another workload has instances called `{name}-...`");
                alone.breaks(&path, problem, "another slug or target name");
            }
        }
        broken.append(&mut alone.broken);
    }
    broken
}

/// The broken rules of one workload.
struct Checked {
    workload: usize,
    broken: Vec<Broken>,
}

impl Checked {
    fn breaks(&mut self, path: &str, problem: impl Into<String>, expected: impl Into<String>) {
        self.broken.push(Broken {
            workload: self.workload,
            path: path.to_owned(),
            problem: problem.into(),
            expected: expected.into(),
        });
    }

    fn workload(&mut self, workload: &Workload) {
        if workload.name.is_empty() {
            self.breaks("name", "it is empty", "a name");
        }
        if workload.containers.is_empty() {
            let problem = "it has no container, so there is nothing to run";
            self.breaks(
                "container",
                problem,
                "at least one block `container { ... }`",
            );
        }
        if workload.targets.is_empty() {
            let problem = "it has no target, so it runs nowhere";
            self.breaks("target", problem, "at least one block `target { ... }`");
        }
        let mut seen = Seen::default();
        for (index, container) in workload.containers.iter().enumerate() {
            self.container(
                workload,
                container,
                &format!("container[{index}]"),
                &mut seen,
            );
        }
        for (index, target) in workload.targets.iter().enumerate() {
            self.target(workload, target, &format!("target[{index}]"), &mut seen);
        }
    }

    fn container<'a>(
        &mut self,
        workload: &Workload,
        container: &'a Container,
        path: &str,
        seen: &mut Seen<'a>,
    ) {
        if !seen.containers.insert(container.name.as_str()) {
            let problem = format!("another container is called {:?}", container.name.as_str());
            self.breaks(&format!("{path}.name"), problem, "a name of its own");
        }
        for (amount, what) in [
            (u64::from(container.cpu_millis), "cpu"),
            (container.memory_bytes, "memory"),
        ] {
            if amount == 0 {
                let path = format!("{path}.resources.requests.{what}");
                self.breaks(&path, "it is 0", "more than 0");
            }
        }
        for (index, port) in container.ports.iter().enumerate() {
            let path = format!("{path}.port[{index}]");
            if port.port == 0 {
                self.breaks(&format!("{path}.port"), "port 0", "1 to 65535");
            }
            if !seen.port_names.insert(port.name.as_str()) {
                let problem = format!("another port is called {:?}", port.name.as_str());
                let expected = "a name that no other port of the workload has";
                self.breaks(&format!("{path}.name"), problem, expected);
            }
            if !seen.ports.insert((port.port, port.protocol)) {
                let problem = format!("{}/{} is there already", port.port, port.protocol);
                let expected = "each port and protocol once, for the containers share one network";
                self.breaks(&format!("{path}.port"), problem, expected);
            }
            if let Err(problem) = workload.service_name(port) {
                let expected = "a shorter slug or port name";
                self.breaks(&format!("{path}.name"), problem, expected);
            }
        }
        for (probe, key) in [
            (&container.readiness, "readiness_probe"),
            (&container.liveness, "liveness_probe"),
        ] {
            let Some(probe) = probe else { continue };
            let path = format!("{path}.{key}");
            let question = &probe.question;
            if let Err(broken) = question.kind.check_bounds() {
                let key = broken.field.key();
                let path = format!("{path}{}", key.trim_start_matches("check"));
                self.breaks(&path, broken.problem, broken.expected);
            }
            for (value, what) in [
                (u32::from(question.port), "port"),
                (probe.period_seconds, "period_seconds"),
                (probe.timeout_seconds, "timeout_seconds"),
                (probe.success_threshold, "success_threshold"),
                (probe.failure_threshold, "failure_threshold"),
            ] {
                if value == 0 {
                    self.breaks(&format!("{path}.{what}"), "it is 0", "at least 1");
                }
            }
        }
        let liveness = container.liveness.as_ref();
        if liveness.is_some_and(|probe| probe.success_threshold > 1) {
            let path = format!("{path}.liveness_probe.success_threshold");
            let problem = "a container that failed is restarted, and has no second success";
            self.breaks(&path, problem, "1");
        }
    }

    fn target<'a>(
        &mut self,
        workload: &Workload,
        target: &'a Target,
        path: &str,
        seen: &mut Seen<'a>,
    ) {
        let (min, max) = (target.min_replicas, target.max_replicas);
        if !seen.targets.insert(target.name.as_str()) {
            let problem = format!("another target is called {:?}", target.name.as_str());
            self.breaks(&format!("{path}.name"), problem, "a name of its own");
        }
        if min == 0 {
            let problem = "a target without instances runs nothing";
            self.breaks(&format!("{path}.min_replicas"), problem, "at least 1");
        }
        if max < min {
            let problem = format!("{max} is below min_replicas, which is {min}");
            let expected = format!("at least {min}");
            self.breaks(&format!("{path}.max_replicas"), problem, expected);
        }
        if max > MAX_REPLICAS {
            let problem = format!("{max} is too many");
            let expected = format!("at most {MAX_REPLICAS}");
            self.breaks(&format!("{path}.max_replicas"), problem, expected);
        }
        if max > min && target.cpu_percent.is_none() {
            let problem = format!("nothing says when to run more than {min}");
            let expected = "`scale_settings`, or no `max_replicas`";
            self.breaks(&format!("{path}.max_replicas"), problem, expected);
        }
        let percent = target.cpu_percent;
        if percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
            let path = format!("{path}.scale_settings.metrics.average_utilization");
            let problem = "no instance gets more than it requests";
            self.breaks(&path, problem, "1 to 100 percent");
        }
        if target.cities.is_empty() {
            let path = format!("{path}.selector.values");
            self.breaks(&path, "it names no city", "at least one");
        }
        let mut cities = BTreeSet::new();
        for (index, city) in target.cities.iter().enumerate() {
            if !cities.insert(city) {
                let path = format!("{path}.selector.values[{index}]");
                let problem = format!("{city} is there already");
                self.breaks(&path, problem, "each city once");
            }
        }
        let longest = target.cities.first().map(|city| {
            let number = max.min(MAX_REPLICAS);
            workload.instance_name(target, city, number).len()
        });
        if longest.is_some_and(|longest| longest > LONGEST_NAME) {
            let problem = "its instances' names are longer than 63 bytes";
            let expected = "a shorter slug or target name";
            self.breaks(&format!("{path}.name"), problem, expected);
        }
    }
}

/// What a workload has only once.
#[derive(Default)]
struct Seen<'a> {
    containers: BTreeSet<&'a str>,
    port_names: BTreeSet<&'a str>,
    ports: BTreeSet<(u16, balancer_core::model::Protocol)>,
    targets: BTreeSet<&'a str>,
}
