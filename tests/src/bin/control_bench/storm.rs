//! `storm_500` and `storm_back_500`: a host under every service falls silent, and comes back.
//!
//! Every service has the same four hosts and a port of its own, so that each service's probes are its own, and their
//! SYNs can be told apart. The host loses every packet; its probes fail by their timeout. So the probe that makes a
//! backend down is the `fall`th SYN that nobody answered, and it has failed a timeout after that SYN: both are known
//! without a word of the daemon. What the daemon's timers and threads take is in the figure, as it should be.
//!
//! A service's moment is seen by a flow that the dead host owned: its packets meet another backend. At the end further
//! flows are looked at, so that a table that still has the host would be told (`relapsed`).

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::cases::{Case, Size};
use crate::http::{Connection, block_on};
use crate::line::Line;
use crate::listeners::Listeners;
use crate::packets::{Balance, Flow};
use crate::probes::{self, Probes, Seen, now_ns};
use crate::quantile::largest;
use crate::scene::{Daemon, Scene};
use crate::services::{Check, Services};
use crate::usage::Usage;

const CHECK: Check = Check {
    interval_ms: 1_000,
    timeout_ms: 500,
    fall: 3,
    rise: 2,
};

const HOSTS: usize = 4;

/// How often the tables are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// How long each half may take.
const STORM_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the daemon may take to know every backend before the storm.
const CALM_TIMEOUT: Duration = Duration::from_secs(240);

/// A daemon that has not saved anything for so long has nothing left to do.
const QUIET: Duration = Duration::from_secs(3);

/// Flows that are tried to find one that the host owns: more fail once in e^28 services.
const TRIED: u32 = 100;

/// Flows of each service that are looked at afterwards.
const LOOKED_AT: u32 = 16;

/// A service, and a flow that the host owns.
struct Waiting {
    service: usize,
    flow: Flow,
}

pub(crate) fn measure(run: &[Case], size: Size, lbd: &Path) -> Result<Vec<Line>> {
    let services = Services {
        shared: true,
        own_ports: true,
        check: Some(CHECK),
        ..Services::new(size.pick(500, 8), HOSTS)
    };
    let scene = Scene::new(lbd, services, "")?;
    let _listeners = Listeners::start(&scene.hosts, &services.ports())?;
    let probes = Probes::watch(&scene.hosts)?;
    let daemon = scene.start()?;
    let balance = scene.balance()?;
    until_calm(&scene, &probes)?;

    let host = services.backend(0, 1);
    let waiting = flows_of(&balance, &services, host)?;
    probes.take();
    eprintln!("  {host} falls silent");
    let (died, usage) = moments(
        &scene,
        &daemon,
        &balance,
        &waiting,
        Until::Without(host),
        || scene.silence(host),
    )?;
    let relapsed = still_has(&balance, &services, host)?;
    let failed = Failed::new(&probes.take(), host);
    let mut after_probe_ms = Vec::new();
    let mut from_death_ms = Vec::new();
    let mut unmatched = 0;
    for (waiting, at) in waiting.iter().zip(&died.at_ns) {
        let Some(at) = *at else { continue };
        from_death_ms.push(ms_between(died.began_ns, at));
        match failed.last(services.port(waiting.service)) {
            Some(last) => after_probe_ms.push(ms_between(last, at)),
            None => unmatched += 1,
        }
    }
    let mut lines = Vec::new();
    if run.contains(&Case::Storm500) {
        let line = Line::new(Case::Storm500, &services, &after_probe_ms, usage)
            .with("max_ms", largest(&after_probe_ms))
            .with_quantiles(["from_death_p50_ms", "from_death_p99_ms"], &from_death_ms)
            .with("from_death_max_ms", largest(&from_death_ms))
            .with("not_seen", (died.missing() + unmatched) as f64)
            .with("relapsed", relapsed as f64)
            .timed_out(died.missing() > 0);
        lines.push(line);
    }
    if run.contains(&Case::StormBack500) {
        until_quiet(&scene, CALM_TIMEOUT)?;
        eprintln!("  {host} is back");
        let (back, usage) = moments(
            &scene,
            &daemon,
            &balance,
            &waiting,
            Until::With(host),
            || scene.revive(host),
        )?;
        let from_return_ms: Vec<f64> = back
            .at_ns
            .iter()
            .flatten()
            .map(|&at| ms_between(back.began_ns, at))
            .collect();
        let line = Line::new(Case::StormBack500, &services, &from_return_ms, usage)
            .with("max_ms", largest(&from_return_ms))
            .with("not_seen", back.missing() as f64)
            .timed_out(back.missing() > 0);
        lines.push(line);
    }
    Ok(lines)
}

/// Waits until every backend has answered, and the daemon knows it and has nothing left to do.
fn until_calm(scene: &Scene, probes: &Probes) -> Result<()> {
    let targets = scene.services.count * HOSTS;
    let mut answers = BTreeMap::new();
    let started = Instant::now();
    while answers.len() < targets {
        ensure!(
            started.elapsed() < CALM_TIMEOUT,
            "{} of {targets} backends were asked within {CALM_TIMEOUT:?}",
            answers.len()
        );
        thread::sleep(LOOK_INTERVAL);
        probes::first_answers(&probes.take(), &mut answers);
    }
    until_quiet(scene, CALM_TIMEOUT)?;
    let items = block_on(async { Connection::new(scene.api()).items("/v1/backends").await })?;
    let up = items.iter().filter(|item| item["health"] == "up").count();
    ensure!(up == targets, "{up} of {targets} backends are up");
    eprintln!(
        "  all are up after {:.0} s",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Waits until the daemon has not saved anything for a while.
fn until_quiet(scene: &Scene, timeout: Duration) -> Result<()> {
    let started = Instant::now();
    let mut last = (scene.saves(), Instant::now());
    while last.1.elapsed() < QUIET {
        ensure!(started.elapsed() < timeout, "the daemon saves and saves");
        thread::sleep(LOOK_INTERVAL);
        let saves = scene.saves();
        if saves != last.0 {
            last = (saves, Instant::now());
        }
    }
    Ok(())
}

/// For each service a flow that the host owns.
fn flows_of(balance: &Balance, services: &Services, host: Ipv4Addr) -> Result<Vec<Waiting>> {
    let of = |service| {
        for number in 0..TRIED {
            let flow = Flow::new(services.vip(service), services.port(service), number);
            if balance.backend(&flow)? == Some(host) {
                return Ok(Waiting { service, flow });
            }
        }
        bail!("{host} owns no flow of {}", services.name(service))
    };
    (0..services.count).map(of).collect()
}

/// What a flow is to meet.
#[derive(Clone, Copy)]
enum Until {
    /// Another backend than this.
    Without(Ipv4Addr),
    With(Ipv4Addr),
}

/// When something began, and when each service's packets met it.
struct Moments {
    began_ns: u64,
    at_ns: Vec<Option<u64>>,
}

impl Moments {
    /// Services whose moment did not come.
    fn missing(&self) -> usize {
        self.at_ns.iter().filter(|at| at.is_none()).count()
    }
}

fn moments(
    scene: &Scene,
    daemon: &Daemon,
    balance: &Balance,
    waiting: &[Waiting],
    until: Until,
    begin: impl FnOnce() -> Result<()>,
) -> Result<(Moments, Usage)> {
    let mark = scene.mark(daemon)?;
    let began_ns = now_ns();
    begin()?;
    let started = Instant::now();
    let mut moments = Moments {
        began_ns,
        at_ns: vec![None; waiting.len()],
    };
    while moments.missing() > 0 && started.elapsed() < STORM_TIMEOUT {
        thread::sleep(LOOK_INTERVAL);
        for (waiting, at) in waiting.iter().zip(&mut moments.at_ns) {
            if at.is_some() {
                continue;
            }
            let met = balance.backend(&waiting.flow)?;
            let is_so = match until {
                Until::Without(host) => met.is_some_and(|met| met != host),
                Until::With(host) => met == Some(host),
            };
            if is_so {
                *at = Some(now_ns());
            }
        }
    }
    eprintln!(
        "  {} of {} tables after {:.1} s",
        waiting.len() - moments.missing(),
        waiting.len(),
        started.elapsed().as_secs_f64()
    );
    let Usage { cpu_ms, .. } = scene.used_since(daemon, &mark)?;
    // The save of the last table comes after it.
    if moments.missing() == 0 {
        until_quiet(scene, STORM_TIMEOUT)?;
    }
    let Usage { saves, .. } = scene.used_since(daemon, &mark)?;
    Ok((moments, Usage { cpu_ms, saves }))
}

/// Services that send packets to a host.
fn still_has(balance: &Balance, services: &Services, host: Ipv4Addr) -> Result<usize> {
    let mut count = 0;
    for service in 0..services.count {
        let (vip, port) = (services.vip(service), services.port(service));
        let flows: Vec<Flow> = (0..LOOKED_AT).map(|n| Flow::new(vip, port, n)).collect();
        count += usize::from(balance.backends(&flows)?.contains(&Some(host)));
    }
    Ok(count)
}

/// The probes of a host that nobody answered.
struct Failed(HashMap<u16, Vec<u64>>);

impl Failed {
    fn new(seen: &[Seen], host: Ipv4Addr) -> Failed {
        Failed(probes::unanswered(seen, host))
    }

    /// When the probe had failed that makes the backend of this port down.
    fn last(&self, port: u16) -> Option<u64> {
        let sent = self.0.get(&port)?.get(CHECK.fall as usize - 1)?;
        Some(sent + u64::from(CHECK.timeout_ms) * 1_000_000)
    }
}

fn ms_between(from_ns: u64, to_ns: u64) -> f64 {
    (to_ns as f64 - from_ns as f64) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_down_a_timeout_after_its_third_probe() {
        let host = Ipv4Addr::new(10, 16, 0, 2);
        let ask = |at_s: u64, port| Seen {
            at_ns: at_s * 1_000_000_000,
            target: (host, port),
            is_answer: false,
        };
        let failed = Failed::new(
            &[ask(1, 80), ask(2, 80), ask(3, 80), ask(4, 80), ask(1, 81)],
            host,
        );
        assert_eq!(failed.last(80), Some(3_500_000_000));
        assert_eq!(failed.last(81), None);
        assert_eq!(ms_between(3_500_000_000, 3_600_000_000), 100.0);
        assert_eq!(ms_between(3_600_000_000, 3_500_000_000), -100.0);
    }
}
