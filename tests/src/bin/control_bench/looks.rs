//! `looks_50`: changes beside `/metrics` and `/v1/status`, each fifty times a second, and the same changes without.
//!
//! A look is due when it is due, whether the one before was answered or not, has a connection of its own, and fails when
//! it has no good answer after 10 s, as a scrape of Prometheus does.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use rustix::process::nice;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::cases::{Case, Size};
use crate::change::{Limits, Weights, make};
use crate::http::{Connection, Place, block_on};
use crate::line::Line;
use crate::scene::{METRICS, Scene};
use crate::services::Services;
use crate::usage::rss_mib;

/// From one pair of looks to the next.
const INTERVAL: Duration = Duration::from_millis(20);

const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// What came of looks.
#[derive(Clone, Copy, Debug, Default)]
struct Looks {
    made: usize,
    failed: usize,
    rss_max_mib: f64,
}

pub(crate) fn measure(case: Case, size: Size, lbd: &Path) -> Result<Line> {
    let services = Services::new(size.pick(512, 8), 8);
    let limits = Limits {
        changes: usize::MAX,
        time: Duration::from_secs(size.pick(12, 2)),
    };
    let scene = Scene::new(lbd, services, "")?;
    let daemon = scene.start()?;
    let mut weights = Weights::new(&services);
    let without = make(&scene, &mut weights, limits)?;
    let rss_before_mib = rss_mib(daemon.pid())?;
    let mark = scene.mark(&daemon)?;
    let over = AtomicBool::new(false);
    let (edge, api, pid) = (scene.edge.clone(), scene.api(), daemon.pid());
    let (with, looks) = thread::scope(|scope| {
        // Metrics are served inside the edge's namespace.
        let looking = scope.spawn(|| edge.enter(|| block_on(look(api, pid, &over)))?);
        let with = make(&scene, &mut weights, limits);
        over.store(true, Ordering::Relaxed);
        let looks = match looking.join() {
            Ok(looks) => looks,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        anyhow::Ok((with?, looks?))
    })?;
    let usage = scene.used_since(&daemon, &mark)?;
    Ok(Line::new(case, &services, &with.switch_ms, usage)
        .with_quantiles(["without_p50_ms", "without_p99_ms"], &without.switch_ms)
        .with_quantiles(["reply_p50_ms", "reply_p99_ms"], &with.reply_ms)
        .with("changes", with.made() as f64)
        .with("not_seen", (with.not_seen + without.not_seen) as f64)
        .with("looks", looks.made as f64)
        .with("failed_looks", looks.failed as f64)
        .with("rss_before_mib", rss_before_mib)
        .with("rss_max_mib", looks.rss_max_mib)
        .with("rss_after_mib", rss_mib(daemon.pid())?))
}

/// Looks until it is over, and waits for the last answers.
async fn look(api: Place, pid: u32, over: &AtomicBool) -> Result<Looks> {
    // Who looks is another machine, which takes nothing of this one's processors.
    nice(19)?;
    let metrics: SocketAddr = METRICS.parse().context("an address")?;
    let mut due = interval(INTERVAL);
    let mut pending = JoinSet::new();
    let mut looks = Looks::default();
    while !over.load(Ordering::Relaxed) {
        due.tick().await;
        pending.spawn(one(Place::Tcp(metrics), "/metrics"));
        pending.spawn(one(api.clone(), "/v1/status"));
        looks.made += 2;
        looks.rss_max_mib = looks.rss_max_mib.max(rss_mib(pid)?);
        while let Some(done) = pending.try_join_next() {
            looks.failed += usize::from(done?.is_err());
        }
    }
    while let Some(done) = pending.join_next().await {
        looks.failed += usize::from(done?.is_err());
    }
    Ok(looks)
}

async fn one(place: Place, path: &'static str) -> Result<()> {
    let mut connection = Connection::new(place);
    let asking = connection.ask(Method::GET, path, "application/json", String::new());
    timeout(LOOK_TIMEOUT, asking).await??;
    Ok(())
}
