//! Readiness and liveness of instances: whom to ask what, and what the answers mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use balancer_config::workload::{Container, Probe};
use balancer_core::model::{Check, Health, HealthState};
use balancer_host::health::{self, Report, Target};
use tokio::sync::{mpsc, watch};

use crate::site::site_check;

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

/// One probe, and what its answers mean so far.
struct Asked {
    /// None while its delay lasts.
    target: Option<Target>,
    check: Check,
    health: HealthState,
}

/// Every probe that runs, or will once its delay is over.
pub(super) struct Probes {
    targets: watch::Sender<Arc<BTreeSet<Target>>>,
    asked: BTreeMap<Key, Asked>,
}

impl Probes {
    /// Nobody is probed yet; reports come by the channel.
    pub(super) fn start() -> (Self, mpsc::Receiver<Report>) {
        let (targets, wanted) = watch::channel(Arc::default());
        let (reports_in, reports) = mpsc::channel(256);
        health::spawn(wanted, reports_in);
        let asked = BTreeMap::new();
        (Self { targets, asked }, reports)
    }

    /// These are to be probed from now on, and nobody else.
    pub(super) fn follow(&mut self, probed: &[Probed<'_>], now_unix_ms: u64) {
        let mut targets = BTreeSet::new();
        let mut asked = BTreeMap::new();
        for instance in probed {
            for (index, container) in instance.containers.iter().enumerate() {
                for (purpose, probe) in probes_of(container) {
                    let key = (
                        instance.name.to_owned(),
                        instance.started_unix_ms,
                        index,
                        purpose,
                    );
                    let check = site_check(probe);
                    let delay = u64::from(probe.initial_delay_seconds) * 1_000;
                    let begun = now_unix_ms >= instance.started_unix_ms.saturating_add(delay);
                    let target = begun.then(|| Target::of(instance.address, &check));
                    targets.extend(target.clone());
                    let health = match self.asked.get(&key) {
                        Some(known) => known.health,
                        None => HealthState::from_known(before(purpose)),
                    };
                    let probe = Asked {
                        target,
                        check,
                        health,
                    };
                    asked.insert(key, probe);
                }
            }
        }
        self.asked = asked;
        self.targets.send_if_modified(|old| {
            let differs = **old != targets;
            *old = Arc::new(targets);
            differs
        });
    }

    /// Takes an answer in.
    pub(super) fn observe(&mut self, report: Report) {
        for asked in self.asked.values_mut() {
            if asked.target.as_ref() == Some(&*report.target) {
                asked.health.observe(&asked.check, report.outcome.is_ok());
            }
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
        let of_instance = self.asked.iter().filter(|((of, started, _, what), _)| {
            of == name && *started == started_unix_ms && *what == purpose
        });
        of_instance
            .map(|(_, asked)| asked.health.health())
            .all(|health| health == Health::Up)
    }
}

/// Not ready until enough probes passed, alive until enough failed.
fn before(purpose: Purpose) -> Health {
    match purpose {
        Purpose::Readiness => Health::Down,
        Purpose::Liveness => Health::Up,
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
    use balancer_config::workload::Question;
    use balancer_core::model::{CheckKind, Tcp};

    use super::*;

    fn container(readiness: bool, liveness: bool) -> Container {
        let probe = Probe {
            question: Question {
                kind: CheckKind::Tcp(Tcp {}),
                port: 8000,
            },
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
        for target in asked.iter().cloned().map(Arc::new) {
            let outcome = if passed { Ok(()) } else { Err("no".to_owned()) };
            probes.observe(Report { target, outcome });
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
    async fn an_answer_counts_for_each_probe_that_asks_the_same_unless_its_delay_lasts() {
        let (mut probes, _reports) = Probes::start();
        let mut delayed = container(true, true);
        for probe in [&mut delayed.readiness, &mut delayed.liveness] {
            probe.as_mut().unwrap().failure_threshold = 1;
        }
        delayed.liveness.as_mut().unwrap().initial_delay_seconds = 60;
        let containers = [delayed];
        follow(&mut probes, &containers, 7);
        assert_eq!(probes.targets.borrow().len(), 1);
        answer(&mut probes, false);
        assert!(probes.is_alive("web-0", 7), "its delay is not over");
        let probed = Probed {
            name: "web-0",
            started_unix_ms: 7,
            address: "192.0.2.1".parse().unwrap(),
            containers: &containers,
        };
        probes.follow(&[probed], 60_007);
        assert_eq!(probes.targets.borrow().len(), 1);
        answer(&mut probes, false);
        assert!(!probes.is_alive("web-0", 7), "nobody told it");
    }

    #[tokio::test]
    async fn without_probes_an_instance_is_ready_and_alive() {
        let (mut probes, _reports) = Probes::start();
        follow(&mut probes, &[container(false, false)], 7);
        assert!(probes.is_ready("web-0", 7) && probes.is_alive("web-0", 7));
    }
}
