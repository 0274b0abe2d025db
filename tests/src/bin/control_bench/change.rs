//! `change`, `change_512`, `change_4096`: from the request that changes a backend's weight to the table that packets meet.
//!
//! One after another, on one connection: a weight goes up by a quarter of the service's backends, and the next time
//! down again. That moves about a fifth of the service's slots, so that one of 64 flows meets another backend (all stay
//! once in 200,000 changes; such a change counts as `not_seen`). While a change is under way these flows are looked at
//! four times a millisecond; the moment is that after the look that sees it.
//!
//! What the disk takes for one `fsync` is measured in the same directory, before and after, and told beside.

use std::path::Path;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;

use crate::cases::{Case, Size};
use crate::http::{Connection, Place, block_on};
use crate::line::Line;
use crate::packets::Flow;
use crate::scene::Scene;
use crate::services::Services;
use crate::usage::fsync_ms;

/// Flows of the service that are looked at.
const FLOWS: u32 = 64;

const LOOK_INTERVAL: Duration = Duration::from_micros(250);

/// How long after the answer the table may still come.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one change may take.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(40);

/// Between two changes.
const PAUSE: Duration = Duration::from_millis(10);

/// How many changes, and for how long at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) changes: usize,
    pub(crate) time: Duration,
}

/// What came of changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// From the request to the table, and to the answer.
    pub(crate) switch_ms: Vec<f64>,
    pub(crate) reply_ms: Vec<f64>,
    /// Changes that no flow has shown.
    pub(crate) not_seen: usize,
}

impl Changes {
    pub(crate) fn made(&self) -> usize {
        self.reply_ms.len()
    }
}

pub(crate) fn measure(case: Case, size: Size, lbd: &Path) -> Result<Line> {
    let services = match case {
        Case::Change => Services::new(1, size.pick(100, 16)),
        Case::Change512 => Services::new(size.pick(512, 8), 8),
        _ => Services::new(size.pick(4_096, 16), 8),
    };
    let limits = Limits {
        changes: size.pick(200, 20),
        time: Duration::from_secs(60),
    };
    let scene = Scene::new(lbd, services, "")?;
    let daemon = scene.start()?;
    let mut disk_ms = fsync_ms(scene.state(), size.pick(100, 10))?;
    let mark = scene.mark(&daemon)?;
    let changes = make(&scene, &mut Weights::new(&services), limits)?;
    let usage = scene.used_since(&daemon, &mark)?;
    disk_ms.extend(fsync_ms(scene.state(), size.pick(100, 10))?);
    Ok(Line::new(case, &services, &changes.switch_ms, usage)
        .with_quantiles(["reply_p50_ms", "reply_p99_ms"], &changes.reply_ms)
        .with_quantiles(["fsync_p50_ms", "fsync_p99_ms"], &disk_ms)
        .with("changes", changes.made() as f64)
        .with("not_seen", changes.not_seen as f64)
        .with("cpu_ms_each", usage.cpu_ms / changes.made() as f64)
        .timed_out(changes.made() < limits.changes))
}

/// The weights of each service's first backend, and whose is next.
pub(crate) struct Weights {
    is_heavy: Vec<bool>,
    made: usize,
}

impl Weights {
    /// As they are declared.
    pub(crate) fn new(services: &Services) -> Weights {
        Weights {
            is_heavy: vec![false; services.count],
            made: 0,
        }
    }

    /// The next service and weight: all over the set, and none twice before all others.
    fn next(&mut self, services: &Services) -> (usize, usize) {
        // Prime, and so without a common divisor with the numbers of services here.
        const STRIDE: usize = 37;
        let service = self.made * STRIDE % services.count;
        self.made += 1;
        self.is_heavy[service] = !self.is_heavy[service];
        let weight = match self.is_heavy[service] {
            true => 1 + (services.backends_of(service) / 4).max(2),
            false => 1,
        };
        (service, weight)
    }
}

/// A request, and then when it was sent and answered.
#[derive(Clone, Copy)]
struct Asked {
    sent: Instant,
    answered: Instant,
}

/// Makes changes, one after another.
pub(crate) fn make(scene: &Scene, weights: &mut Weights, limits: Limits) -> Result<Changes> {
    let balance = scene.balance()?;
    let services = scene.services;
    let api = scene.api();
    let (requests, asked) = mpsc::channel::<(String, String)>();
    let (replies, answers) = mpsc::channel::<Result<Asked>>();
    // `requests` ends with this closure, and with it the thread that asks.
    thread::scope(move |scope| {
        scope.spawn(move || {
            let done = block_on(ask(api, &asked, &replies));
            if let Err(error) = done {
                let _ = replies.send(Err(error));
            }
        });
        let mut changes = Changes::default();
        let started = Instant::now();
        for _ in 0..limits.changes {
            if started.elapsed() >= limits.time {
                break;
            }
            let (service, weight) = weights.next(&services);
            let path = format!(
                "/v1/services/{}/backends/{}/weight",
                services.name(service),
                services.backend(service, 0)
            );
            let flows: Vec<Flow> = (0..FLOWS)
                .map(|n| Flow::new(services.vip(service), services.port(service), n))
                .collect();
            let before = balance.backends(&flows)?;
            requests.send((path, format!("{{\"weight\":{weight}}}")))?;
            let moved = || -> Result<bool> {
                for (flow, before) in flows.iter().zip(&before) {
                    if balance.backend(flow)? != *before {
                        return Ok(true);
                    }
                }
                Ok(false)
            };
            let (asked, switched) = wait(&answers, moved)?;
            let ms = |until: Instant| (until - asked.sent).as_secs_f64() * 1e3;
            changes.reply_ms.push(ms(asked.answered));
            match switched {
                Some(switched) => changes.switch_ms.push(ms(switched)),
                None => changes.not_seen += 1,
            }
            thread::sleep(PAUSE);
        }
        drop(requests);
        Ok(changes)
    })
}

/// Looks until a flow has moved and the request is answered.
fn wait(
    answers: &mpsc::Receiver<Result<Asked>>,
    mut moved: impl FnMut() -> Result<bool>,
) -> Result<(Asked, Option<Instant>)> {
    let started = Instant::now();
    let mut answer: Option<Asked> = None;
    let mut switched = None;
    loop {
        if switched.is_none() && moved()? {
            switched = Some(Instant::now());
        }
        if answer.is_none() {
            answer = match answers.try_recv() {
                Ok(asked) => Some(asked?),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => bail!("nobody asks any more"),
            };
        }
        if let Some(asked) = answer
            && (switched.is_some() || asked.answered.elapsed() >= SWITCH_TIMEOUT)
        {
            return Ok((asked, switched));
        }
        ensure!(
            started.elapsed() < CHANGE_TIMEOUT,
            "a change was not answered within {CHANGE_TIMEOUT:?}"
        );
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Sends what comes, and tells when it was sent and answered.
async fn ask(
    api: Place,
    requests: &mpsc::Receiver<(String, String)>,
    replies: &mpsc::Sender<Result<Asked>>,
) -> Result<()> {
    let mut connection = Connection::new(api);
    // Nothing else runs on this thread.
    for (path, body) in requests {
        connection.open().await?;
        let sent = Instant::now();
        connection
            .ask(Method::PUT, &path, "application/json", body)
            .await
            .context("a change was not made")?;
        let answered = Instant::now();
        if replies.send(Ok(Asked { sent, answered })).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_goes_up_and_the_next_time_down() {
        let services = Services::new(3, 8);
        let mut weights = Weights::new(&services);
        let first: Vec<_> = (0..3).map(|_| weights.next(&services)).collect();
        assert_eq!(first, [(0, 3), (1, 3), (2, 3)]);
        assert_eq!(weights.next(&services), (0, 1));
        let one = Services::new(1, 100);
        assert_eq!(Weights::new(&one).next(&one), (0, 26));
    }
}
