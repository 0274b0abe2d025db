//! `start_512`, `start_4096`, `restart_512`, `restart_announced_512`: from the command to `READY=1`, and what packets and
//! routers notice of it.
//!
//! A restart is SIGKILL and the same command again. Meanwhile four flows of each service are looked at four times a
//! second, and a last time afterwards (`moved_flows`); the VIPs on the link that a routing daemon would announce are
//! looked at every 50 ms until the guard would have withdrawn them (`moved`: how many were missing at any time;
//! `moved_ms`: how long any was).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::ifaddrs::getifaddrs;
use testbed::Namespace;

use crate::cases::{Case, Size};
use crate::line::Line;
use crate::listeners::Listeners;
use crate::packets::{Balance, Flow};
use crate::scene::{ANNOUNCED_ON, START_TIMEOUT, Scene};
use crate::services::{Check, Services};

/// Flows of each service that are looked at.
const FLOWS: u32 = 4;

const FLOWS_INTERVAL: Duration = Duration::from_millis(250);

const VIPS_INTERVAL: Duration = Duration::from_millis(50);

/// `guard_seconds`, and how much longer the VIPs are looked at.
const GUARD: Duration = Duration::from_secs(10);
const GUARD_MARGIN: Duration = Duration::from_secs(3);

/// How long the VIPs may take to be announced, before and after.
const ANNOUNCED_TIMEOUT: Duration = Duration::from_secs(60);

/// Backends are asked before a VIP is announced: seldom, for this is no case of checks.
const CHECK: Check = Check {
    interval_ms: 10_000,
    timeout_ms: 500,
    fall: 3,
    rise: 2,
};

/// The first start, with nothing in the state directory and no pins.
pub(crate) fn start(case: Case, size: Size, lbd: &Path) -> Result<Line> {
    let services = match case {
        Case::Start512 => Services::new(size.pick(512, 8), 8),
        _ => Services::new(size.pick(4_096, 16), 8),
    };
    let scene = Scene::new(lbd, services, "")?;
    let mark = scene.nothing_used();
    let daemon = scene.start_within(START_TIMEOUT)?;
    let took_ms: Vec<f64> = daemon.ready_after.map(ms).into_iter().collect();
    let usage = scene.used_since(&daemon, &mark)?;
    Ok(Line::new(case, &services, &took_ms, usage).timed_out(took_ms.is_empty()))
}

pub(crate) fn restart(case: Case, size: Size, lbd: &Path) -> Result<Line> {
    let services = Services::new(size.pick(512, 8), 8);
    let scene = Scene::new(lbd, services, "")?;
    scene.start()?.kill();
    let flows = flows(&services);
    let balance = scene.balance()?;
    let before = balance.backends(&flows)?;
    ensure!(
        before.iter().all(Option::is_some),
        "packets meet no backend before the restart"
    );
    let over = AtomicBool::new(false);
    let mark = scene.nothing_used();
    let (daemon, mut moved) = thread::scope(|scope| {
        let looking = scope.spawn(|| moved_flows(&balance, &flows, &before, &over));
        let daemon = scene.start_within(START_TIMEOUT);
        over.store(true, Ordering::Relaxed);
        let moved = match looking.join() {
            Ok(moved) => moved,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        anyhow::Ok((daemon?, moved?))
    })?;
    let usage = scene.used_since(&daemon, &mark)?;
    let after = scene.balance()?.backends(&flows)?;
    moved.extend(differing(&before, &after));
    let took_ms: Vec<f64> = daemon.ready_after.map(ms).into_iter().collect();
    Ok(Line::new(case, &services, &took_ms, usage)
        .with("moved_flows", moved.len() as f64)
        .with("flows", flows.len() as f64)
        .timed_out(took_ms.is_empty()))
}

pub(crate) fn restart_announced(case: Case, size: Size, lbd: &Path) -> Result<Line> {
    let services = Services {
        check: Some(CHECK),
        ..Services::new(size.pick(512, 8), 8)
    };
    let settings = format!(
        "[announce]\nspeaker = \"local\"\nlink = \"{ANNOUNCED_ON}\"\nguard_seconds = {}\n",
        GUARD.as_secs()
    );
    let scene = Scene::new(lbd, services, &settings)?;
    let _listeners = Listeners::start(&scene.hosts, &services.ports())?;
    let vips: BTreeSet<Ipv4Addr> = (0..services.count).map(|n| services.vip(n)).collect();
    let first = scene.start()?;
    let started = Instant::now();
    loop {
        let announced = scene.edge.enter(on_link)??;
        if announced.is_superset(&vips) {
            break;
        }
        ensure!(
            started.elapsed() < ANNOUNCED_TIMEOUT,
            "{} of {} VIPs were announced within {ANNOUNCED_TIMEOUT:?}",
            announced.intersection(&vips).count(),
            vips.len()
        );
        thread::sleep(FLOWS_INTERVAL);
    }
    eprintln!(
        "  all VIPs are announced after {:.1} s more",
        started.elapsed().as_secs_f64()
    );
    let _guard = scene.start_guard()?;
    let over = AtomicBool::new(false);
    let edge = scene.edge.clone();
    first.kill();
    let killed = Instant::now();
    let mark = scene.nothing_used();
    let (daemon, usage, withdrawn) = thread::scope(|scope| {
        let looking = scope.spawn(|| withdrawn(&edge, &vips, &over));
        let daemon = scene.start_within(START_TIMEOUT);
        let usage = daemon
            .as_ref()
            .map_err(|error| anyhow::anyhow!("{error:#}"))
            .and_then(|daemon| scene.used_since(daemon, &mark));
        // A guard that has seen no sign of life would act by then.
        thread::sleep((GUARD + GUARD_MARGIN).saturating_sub(killed.elapsed()));
        over.store(true, Ordering::Relaxed);
        let withdrawn = match looking.join() {
            Ok(withdrawn) => withdrawn,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        anyhow::Ok((daemon?, usage?, withdrawn?))
    })?;
    let took_ms: Vec<f64> = daemon.ready_after.map(ms).into_iter().collect();
    Ok(Line::new(case, &services, &took_ms, usage)
        .with("moved", withdrawn.vips.len() as f64)
        .with("moved_ms", withdrawn.ms)
        .timed_out(took_ms.is_empty()))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Some flows of every service.
fn flows(services: &Services) -> Vec<Flow> {
    let of = |service| {
        (0..FLOWS).map(move |n| Flow::new(services.vip(service), services.port(service), n))
    };
    (0..services.count).flat_map(of).collect()
}

/// The flows that meet another backend than before, at any time until it is over.
fn moved_flows(
    balance: &Balance,
    flows: &[Flow],
    before: &[Option<Ipv4Addr>],
    over: &AtomicBool,
) -> Result<BTreeSet<usize>> {
    let mut moved = BTreeSet::new();
    while !over.load(Ordering::Relaxed) {
        moved.extend(differing(before, &balance.backends(flows)?));
        thread::sleep(FLOWS_INTERVAL);
    }
    Ok(moved)
}

fn differing(before: &[Option<Ipv4Addr>], after: &[Option<Ipv4Addr>]) -> Vec<usize> {
    let pairs = before.iter().zip(after).enumerate();
    pairs
        .filter(|(_, (before, after))| before != after)
        .map(|(index, _)| index)
        .collect()
}

/// The addresses of the announced link, in the calling thread's namespace.
fn on_link() -> Result<BTreeSet<Ipv4Addr>> {
    let all = getifaddrs().context("cannot list addresses")?;
    Ok(all
        .filter(|each| each.interface_name == ANNOUNCED_ON)
        .filter_map(|each| Some(each.address?.as_sockaddr_in()?.ip()))
        .collect())
}

/// VIPs that were missing at any time, and how long any was.
#[derive(Debug, Default)]
struct Withdrawn {
    vips: BTreeSet<Ipv4Addr>,
    ms: f64,
}

/// Looks until it is over; if VIPs are missing then, until they are back.
fn withdrawn(edge: &Namespace, vips: &BTreeSet<Ipv4Addr>, over: &AtomicBool) -> Result<Withdrawn> {
    edge.enter(|| {
        let mut withdrawn = Withdrawn::default();
        let mut over_since = None;
        loop {
            let looked = Instant::now();
            let missing: Vec<Ipv4Addr> = vips.difference(&on_link()?).copied().collect();
            if over.load(Ordering::Relaxed) {
                let since = *over_since.get_or_insert_with(Instant::now);
                if missing.is_empty() || since.elapsed() >= ANNOUNCED_TIMEOUT {
                    return Ok(withdrawn);
                }
            }
            thread::sleep(VIPS_INTERVAL);
            if !missing.is_empty() {
                withdrawn.vips.extend(missing);
                withdrawn.ms += ms(looked.elapsed());
            }
        }
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_that_meet_nobody_have_moved_too() {
        let one = Some(Ipv4Addr::new(10, 16, 0, 1));
        let two = Some(Ipv4Addr::new(10, 16, 0, 2));
        assert_eq!(differing(&[one, two, two], &[one, None, one]), [1, 2]);
        assert_eq!(differing(&[one], &[one]), [0; 0]);
    }

    #[test]
    fn every_service_has_its_flows() {
        assert_eq!(flows(&Services::new(3, 2)).len(), 12);
    }
}
