//! Readiness and liveness of instances: whom to ask what, and what the answers mean.

use std::{collections::BTreeMap, net::IpAddr};

use tokio::sync::{mpsc, watch};

use crate::{
    health::{self, Report, Target},
    model::{BackendId, Health, HealthState},
    site::site_check,
    workload::{Container, Probe},
};

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Purpose {
    Readiness,
    Liveness,
}

/// One probe of one container of one life of an instance.
type Key = (String, u64, usize, Purpose);

/// A running instance that is to be probed.
pub(super) struct Probed<'a> {
    pub(super) name: &'a str,
    /// When it was started, in milliseconds since 1970.
    pub(super) started_unix_ms: u64,
    pub(super) address: IpAddr,
    pub(super) containers: &'a [Container],
}

/// Every probe that runs.
pub(super) struct Probes {
    targets: watch::Sender<Vec<Target>>,
    numbers: BTreeMap<Key, BackendId>,
    health: BTreeMap<BackendId, HealthState>,
    next: u16,
}

impl Probes {
    /// Nobody is probed yet; reports come by the channel.
    pub(super) fn start() -> (Self, mpsc::Receiver<Report>) {
        let (targets, wanted) = watch::channel(Vec::new());
        let (reports_in, reports) = mpsc::channel(256);
        health::spawn(wanted, reports_in);
        let probes = Self {
            targets,
            numbers: BTreeMap::new(),
            health: BTreeMap::new(),
            next: 1,
        };
        (probes, reports)
    }

    /// These are to be probed from now on, and nobody else.
    pub(super) fn follow(&mut self, probed: &[Probed<'_>], now_unix_ms: u64) {
        let mut targets = Vec::new();
        let mut numbers = BTreeMap::new();
        for instance in probed {
            for (index, container) in instance.containers.iter().enumerate() {
                for (purpose, probe) in probes_of(container) {
                    let key = (
                        instance.name.to_owned(),
                        instance.started_unix_ms,
                        index,
                        purpose,
                    );
                    let id = self.number(&key, purpose);
                    numbers.insert(key, id);
                    let delay = u64::from(probe.initial_delay_seconds) * 1_000;
                    if now_unix_ms >= instance.started_unix_ms.saturating_add(delay) {
                        targets.push(Target {
                            id,
                            address: instance.address,
                            check: site_check(probe),
                        });
                    }
                }
            }
        }
        self.numbers = numbers;
        let numbers = &self.numbers;
        self.health
            .retain(|id, _| numbers.values().any(|number| number == id));
        self.targets.send_if_modified(|old| {
            let differs = *old != targets;
            *old = targets;
            differs
        });
    }

    fn number(&mut self, key: &Key, purpose: Purpose) -> BackendId {
        if let Some(&id) = self.numbers.get(key) {
            return id;
        }
        let taken = |id: u16| id == 0 || self.health.contains_key(&BackendId(id));
        while taken(self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let id = BackendId(self.next);
        // Not ready until enough probes passed, alive until enough failed.
        let before = match purpose {
            Purpose::Readiness => Health::Down,
            Purpose::Liveness => Health::Up,
        };
        self.health.insert(id, HealthState::from_known(before));
        self.next = self.next.wrapping_add(1);
        id
    }

    /// Takes an answer in.
    pub(super) fn observe(&mut self, report: Report) {
        if let Some(health) = self.health.get_mut(&report.id) {
            health.observe(&report.check, report.outcome.is_ok());
        }
    }

    /// Whether every readiness probe of an instance passes; true without one.
    pub(super) fn is_ready(&self, name: &str, started_unix_ms: u64) -> bool {
        self.all(name, started_unix_ms, Purpose::Readiness)
    }

    /// Whether every liveness probe of an instance passes; true without one.
    pub(super) fn is_alive(&self, name: &str, started_unix_ms: u64) -> bool {
        self.all(name, started_unix_ms, Purpose::Liveness)
    }

    fn all(&self, name: &str, started_unix_ms: u64, purpose: Purpose) -> bool {
        let of_instance = self.numbers.iter().filter(|((of, started, _, what), _)| {
            of == name && *started == started_unix_ms && *what == purpose
        });
        of_instance
            .map(|(_, id)| self.health.get(id))
            .all(|health| health.is_some_and(|health| health.health() == Health::Up))
    }
}

fn probes_of(container: &Container) -> impl Iterator<Item = (Purpose, &Probe)> {
    let readiness = container.readiness.iter();
    let liveness = container.liveness.iter();
    let readiness = readiness.map(|probe| (Purpose::Readiness, probe));
    readiness.chain(liveness.map(|probe| (Purpose::Liveness, probe)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::ProbeKind;

    fn container(readiness: bool, liveness: bool) -> Container {
        let probe = Probe {
            kind: ProbeKind::Tcp { port: 8000 },
            period_seconds: 1,
            timeout_seconds: 1,
            success_threshold: 2,
            failure_threshold: 2,
            initial_delay_seconds: 0,
        };
        Container {
            name: "app".parse().unwrap(),
            image: "web:1".to_owned(),
            command: Vec::new(),
            ports: Vec::new(),
            cpu_millis: 100,
            memory_bytes: 1 << 20,
            env: BTreeMap::new(),
            sensitive: Default::default(),
            readiness: readiness.then(|| probe.clone()),
            liveness: liveness.then_some(probe),
        }
    }

    fn follow(probes: &mut Probes, containers: &[Container], started_unix_ms: u64) {
        let probed = Probed {
            name: "web-0",
            started_unix_ms,
            // Nobody is asked: documentation's addresses are nobody's.
            address: "192.0.2.1".parse().unwrap(),
            containers,
        };
        probes.follow(&[probed], started_unix_ms);
    }

    fn answer(probes: &mut Probes, passed: bool) {
        let asked = probes.targets.borrow().clone();
        for Target { id, check, .. } in asked {
            let outcome = if passed { Ok(()) } else { Err("no".to_owned()) };
            probes.observe(Report { id, check, outcome });
        }
    }

    #[tokio::test]
    async fn an_instance_is_ready_after_enough_passed_probes_and_dead_after_enough_failed_ones() {
        let (mut probes, _reports) = Probes::start();
        let containers = [container(true, true)];
        follow(&mut probes, &containers, 7);
        assert!(!probes.is_ready("web-0", 7) && probes.is_alive("web-0", 7));
        answer(&mut probes, true);
        assert!(!probes.is_ready("web-0", 7), "one of two is not enough");
        answer(&mut probes, true);
        assert!(probes.is_ready("web-0", 7));
        answer(&mut probes, false);
        answer(&mut probes, false);
        assert!(!probes.is_ready("web-0", 7) && !probes.is_alive("web-0", 7));
        // Its next life begins anew.
        follow(&mut probes, &containers, 8);
        assert!(!probes.is_ready("web-0", 8) && probes.is_alive("web-0", 8));
    }

    #[tokio::test]
    async fn without_probes_an_instance_is_ready_and_alive() {
        let (mut probes, _reports) = Probes::start();
        follow(&mut probes, &[container(false, false)], 7);
        assert!(probes.is_ready("web-0", 7) && probes.is_alive("web-0", 7));
    }
}
