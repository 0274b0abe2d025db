//! A probing task for every target: level-triggered, each on a clock of its own.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{
    Report, Target,
    probe::{Failure, probe, take_leave},
};
use crate::model::BackendId;

/// Jitter: a probe starts earlier than the interval says by up to this share of it, and never later.
const JITTER: f64 = 0.1;

/// Keeps one probing task for each target, and sends what each probe finds to `reports`.
///
/// A target's first probe starts at once (within a tenth of its interval), the next ones an interval after the start of
/// the one before, up to a tenth earlier. Probes of one target never overlap; a slow one delays no other target. So a
/// backend that stops answering has failed `fall` probes within `fall` intervals and one timeout, as long as `reports`
/// is emptied. A target that vanishes, or changes address or check, is left in the middle of its probe; reports of it
/// that are in the channel already still arrive. Of targets with the same id the last counts.
///
/// A probe that this host itself could not make (no file descriptors left) says nothing of the backend and is logged
/// instead. The task ends when `targets` has no sender or `reports` no receiver.
pub fn spawn(
    mut targets: watch::Receiver<Vec<Target>>,
    reports: mpsc::Sender<Report>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut running: BTreeMap<BackendId, Probing> = BTreeMap::new();
        loop {
            let wanted: BTreeMap<BackendId, Target> = targets
                .borrow_and_update()
                .iter()
                .map(|target| (target.id, target.clone()))
                .collect();
            running.retain(|id, probing| wanted.get(id) == Some(&probing.target));
            for (id, target) in wanted {
                running
                    .entry(id)
                    .or_insert_with(|| Probing::start(target, reports.clone()));
            }
            tokio::select! {
                changed = targets.changed() => if changed.is_err() { return },
                () = reports.closed() => return,
            }
        }
    })
}

/// A task that ends when this is dropped.
struct Probing {
    target: Target,
    task: JoinHandle<()>,
}

impl Probing {
    fn start(target: Target, reports: mpsc::Sender<Report>) -> Self {
        Self {
            task: tokio::spawn(keep_probing(target.clone(), reports)),
            target,
        }
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_probing(target: Target, reports: mpsc::Sender<Report>) {
    let interval = target.check.interval().max(Duration::from_millis(1));
    // Longer, and a silent backend would put off its own next probe.
    let timeout = target.check.timeout().min(interval);
    let mut start = Instant::now() + interval.mul_f64(JITTER * fastrand::f64());
    loop {
        sleep_until(start).await;
        let deadline = Instant::now() + timeout;
        // From when it was due, so that what a timer is late by does not add up.
        start += interval.mul_f64(1.0 - JITTER * fastrand::f64());
        let (outcome, connection) = match probe(&target, timeout).await {
            Ok(connection) => (Some(Ok(())), Some(connection)),
            Err(Failure::Backend(why)) => (Some(Err(why)), None),
            Err(Failure::Here(why)) => {
                tracing::warn!(backend = %target.address, "no health check: {why} on this host");
                (None, None)
            }
        };
        if let Some(outcome) = outcome {
            let report = Report {
                id: target.id,
                check: target.check.clone(),
                outcome,
            };
            if reports.send(report).await.is_err() {
                return;
            }
        }
        if let Some(connection) = connection {
            take_leave(connection, deadline).await;
        }
        // Reports that nobody took for a while are no reason to hurry afterwards.
        start = start.max(Instant::now());
    }
}
