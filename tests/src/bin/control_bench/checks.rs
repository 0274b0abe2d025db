//! `checks_32767` and `checks_shared_2000`: as many checks as there can be, and many checks of the same.
//!
//! Probes are counted on the hosts' interface, by their SYNs. The times of `checks_32767` are those of each backend's
//! first answer, from the very first one; `all_known_ms` is from the daemon's readiness. A backend is known when the daemon says so; it is asked
//! once all have answered a probe, and seldom before, because its answer takes time itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cases::{Case, Size};
use crate::http::{Connection, block_on};
use crate::line::Line;
use crate::listeners::Listeners;
use crate::probes::{self, Probes, now_ns};
use crate::scene::Scene;
use crate::services::{Check, Services};

/// How long all may take to be known.
const KNOWN_TIMEOUT: Duration = Duration::from_secs(60);

const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// When the daemon is asked though not all have answered.
const IMPATIENT: Duration = Duration::from_secs(30);

/// How often the daemon is asked once all have answered.
const LIST_INTERVAL: Duration = Duration::from_secs(1);

/// How long the daemon may take to answer who is known.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);

/// 32,767 backends in 64 services, each with a check of its own.
pub(crate) fn many(case: Case, size: Size, lbd: &Path) -> Result<Line> {
    let services = Services {
        most_backends: size.pick(32_767, 255),
        check: Some(Check {
            interval_ms: size.pick(10_000, 1_000),
            timeout_ms: 500,
            fall: 3,
            rise: 2,
        }),
        ..Services::new(size.pick(64, 8), size.pick(512, 32))
    };
    let watched = Duration::from_secs(size.pick(20, 2));
    let scene = Scene::new(lbd, services, "")?;
    let _listeners = Listeners::start(&scene.hosts, &services.ports())?;
    let probes = Probes::watch(&scene.hosts)?;
    let daemon = scene.start()?;
    let mut answers = BTreeMap::new();
    let mut known = 0;
    let mut all_known_ms = None;
    let mut look_again = IMPATIENT;
    let mut all_answered = false;
    while all_known_ms.is_none() && daemon.ready_at.elapsed() < KNOWN_TIMEOUT {
        thread::sleep(LOOK_INTERVAL);
        probes::first_answers(&probes.take(), &mut answers);
        if !all_answered && answers.len() == services.backends() {
            all_answered = true;
            look_again = Duration::ZERO;
        }
        if daemon.ready_at.elapsed() < look_again {
            continue;
        }
        let asked = Instant::now();
        known = known_now(&scene)?.unwrap_or(known);
        let pause = if all_answered {
            LIST_INTERVAL
        } else {
            IMPATIENT
        };
        look_again = daemon.ready_at.elapsed() + pause;
        eprintln!("  {known} of {} backends are known", services.backends());
        if known == services.backends() {
            // They were known when the daemon was asked.
            all_known_ms = Some((asked - daemon.ready_at).as_secs_f64() * 1e3);
        }
    }
    let first_ns = answers.values().copied().min().unwrap_or_default();
    let first_answer_ms: Vec<f64> = answers
        .values()
        .map(|&at_ns| (at_ns - first_ns) as f64 / 1e6)
        .collect();
    let (mark, from_ns) = (scene.mark(&daemon)?, now_ns());
    thread::sleep(watched);
    let usage = scene.used_since(&daemon, &mark)?;
    let asked = probes::asked_since(&probes.take(), from_ns) as f64;
    let (warnings, errors) = daemon.complaints();
    let listen_drops = scene.hosts.enter(listen_drops)??;
    Ok(Line::new(case, &services, &first_answer_ms, usage)
        .with("asked", answers.len() as f64)
        .with("known", known as f64)
        .with("all_known_ms", all_known_ms)
        .with("cpu_percent", mark.cpu_percent(&usage))
        .with("probes_per_s", asked / watched.as_secs_f64())
        .with("warnings", warnings as f64)
        .with("errors", errors as f64)
        .with("listen_drops", listen_drops as f64)
        .timed_out(all_known_ms.is_none()))
}

/// How many backends the daemon knows; `None` if it does not answer.
fn known_now(scene: &Scene) -> Result<Option<usize>> {
    let items = block_on(async {
        let mut connection = Connection::new(scene.api());
        let items = connection.items("/v1/backends");
        Ok(tokio::time::timeout(LIST_TIMEOUT, items).await)
    })?;
    match items {
        Ok(items) => Ok(Some(
            items?
                .iter()
                .filter(|item| item["health"] != "unknown")
                .count(),
        )),
        Err(_) => {
            eprintln!("  the daemon did not say within {LIST_TIMEOUT:?} who is known");
            Ok(None)
        }
    }
}

/// 500 services that share four hosts and their port: 2,000 checks, of four kinds.
pub(crate) fn shared(case: Case, size: Size, lbd: &Path) -> Result<Line> {
    const HOSTS: usize = 4;
    let services = Services {
        shared: true,
        check: Some(Check {
            interval_ms: 1_000,
            timeout_ms: 500,
            fall: 3,
            rise: 2,
        }),
        ..Services::new(size.pick(500, 8), HOSTS)
    };
    let watched = Duration::from_secs(size.pick(20, 2));
    let scene = Scene::new(lbd, services, "")?;
    let _listeners = Listeners::start(&scene.hosts, &services.ports())?;
    let daemon = scene.start()?;
    // The first round, which tells of every backend.
    thread::sleep(Duration::from_secs(size.pick(20, 2)));
    let probes = Probes::watch(&scene.hosts)?;
    let (mark, from_ns) = (scene.mark(&daemon)?, now_ns());
    thread::sleep(watched);
    let usage = scene.used_since(&daemon, &mark)?;
    let asked = probes::asked_since(&probes.take(), from_ns) as f64;
    let per_s = asked / watched.as_secs_f64();
    let time_wait = scene.edge.enter(time_wait)??;
    Ok(Line::new(case, &services, &[], usage)
        .with("cpu_percent", mark.cpu_percent(&usage))
        .with("probes_per_s", per_s)
        .with("probes_per_host_s", per_s / HOSTS as f64)
        .with("time_wait", time_wait as f64))
}

/// Connections that the hosts' listeners have refused to queue, in the calling thread's namespace: probes of them fail by the
/// bench's own fault.
fn listen_drops() -> Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/net/netstat")?;
    dropped(&text).with_context(|| format!("netstat is not understood: {text}"))
}

/// The column `ListenDrops` of the two lines of `TcpExt`.
fn dropped(netstat: &str) -> Option<u64> {
    let mut lines = netstat
        .lines()
        .filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut columns = names.split_whitespace().zip(values.split_whitespace());
    let (_, drops) = columns.find(|(name, _)| *name == "ListenDrops")?;
    drops.parse().ok()
}

/// Sockets in TIME_WAIT in the calling thread's namespace.
fn time_wait() -> Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/net/sockstat")?;
    in_time_wait(&text).with_context(|| format!("sockstat is not understood: {text}"))
}

fn in_time_wait(sockstat: &str) -> Option<u64> {
    let line = sockstat
        .lines()
        .find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_whitespace();
    words.find(|word| *word == "tw")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_in_time_wait_are_read_from_the_kernels_summary() {
        let text =
            "sockets: used 20\nTCP: inuse 3 orphan 0 tw 89000 alloc 4 mem 1\nUDP: inuse 1 mem 0\n";
        assert_eq!(in_time_wait(text), Some(89_000));
        assert_eq!(in_time_wait("TCP: inuse 3"), None);
    }

    #[test]
    fn connections_that_were_not_queued_are_read_by_the_name_of_their_column() {
        let text =
            "TcpExt: TW ListenOverflows ListenDrops\nTcpExt: 9 82 83\nIpExt: InPkts\nIpExt: 7\n";
        assert_eq!(dropped(text), Some(83));
        assert_eq!(dropped("TcpExt: TW\nTcpExt: 9\n"), None);
    }
}
