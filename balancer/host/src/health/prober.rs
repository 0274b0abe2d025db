//! The prober: starts the probe of each target when it is due and a socket is free, and hands on what it finds.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinHandle, JoinSet},
    time::{Instant, sleep_until},
};

use super::{
    Report, Target, descriptors,
    probe::{Failure, probe, take_leave},
    schedule::{Number, Schedule},
    shortage::Shortage,
};

/// The shortest time from one round to the next. What comes in between is taken together: with thousands of probes a second,
/// going to sleep and waking up for each of them costs more than the bookkeeping.
const ROUND_INTERVAL: Duration = Duration::from_millis(2);

/// Asks every target once an interval, and sends what each probe finds to `reports`.
///
/// A target's first probe starts at once (of thousands that come together, 5,000 a second), the next ones an interval after
/// the start of the one before, up to a tenth earlier. Probes of one target never overlap; a slow one delays no other target.
/// So a target that stops answering has failed `fall` probes within `fall` intervals and one timeout, as long as `reports`
/// is emptied. When it is not, a target's report waits without a socket, and its next probe waits for its report. A target
/// that vanishes is left in the middle of its probe; reports of it that are in the channel already still arrive.
///
/// Probes together hold no more sockets than the process's limit of open files leaves them. A probe that waits for a socket
/// is late, and has not failed. One that this host could not make all the same says nothing of the target and is logged, at
/// most once a minute. The task ends when `targets` has no sender or `reports` no receiver.
pub fn spawn(
    targets: watch::Receiver<Arc<BTreeSet<Target>>>,
    reports: mpsc::Sender<Report>,
) -> JoinHandle<()> {
    spawn_with(descriptors::for_probes(), targets, reports)
}

/// The same with at most so many sockets at once.
pub(crate) fn spawn_with(
    sockets: usize,
    targets: watch::Receiver<Arc<BTreeSet<Target>>>,
    reports: mpsc::Sender<Report>,
) -> JoinHandle<()> {
    let (findings_in, findings) = mpsc::unbounded_channel();
    let prober = Prober {
        schedule: Schedule::new(fastrand::Rng::new()),
        sockets,
        probes: JoinSet::new(),
        running: HashMap::new(),
        findings_in,
        findings,
        outbox: VecDeque::new(),
        shortage: Shortage::default(),
    };
    tokio::spawn(prober.run(targets, reports))
}

/// What one probe found out.
type Finding = (Number, Result<(), Failure>);

struct Prober {
    schedule: Schedule,
    /// How many probes there may be at once; each has one socket.
    sockets: usize,
    /// Each gives its target's number when its socket is closed.
    probes: JoinSet<Number>,
    /// Those of targets that are still wanted.
    running: HashMap<Number, AbortHandle>,
    findings_in: mpsc::UnboundedSender<Finding>,
    findings: mpsc::UnboundedReceiver<Finding>,
    /// Reports that nobody has taken yet, at most one of each target.
    outbox: VecDeque<(Number, Report)>,
    shortage: Shortage,
}

impl Prober {
    async fn run(
        mut self,
        mut targets: watch::Receiver<Arc<BTreeSet<Target>>>,
        reports: mpsc::Sender<Report>,
    ) {
        self.follow(Arc::clone(&targets.borrow_and_update()));
        loop {
            let round = Instant::now();
            self.take_findings();
            self.hand_over(&reports);
            self.start_probes();
            sleep_until(round + ROUND_INTERVAL).await;
            // Below it would draw lots with what is ready all the time.
            match targets.has_changed() {
                Ok(true) => self.follow(Arc::clone(&targets.borrow_and_update())),
                Ok(false) => {}
                Err(_) => return,
            }
            let next = match self.has_socket() {
                true => self.schedule.next_due(),
                false => None,
            };
            tokio::select! {
                changed = targets.changed() => match changed {
                    Ok(()) => self.follow(Arc::clone(&targets.borrow_and_update())),
                    Err(_) => return,
                },
                () = reports.closed() => return,
                // There is room again: the next round uses it.
                _ = reports.reserve(), if !self.outbox.is_empty() => {}
                Some(finding) = self.findings.recv() => self.take(finding),
                Some(ended) = self.probes.join_next() => self.let_go(ended.ok()),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    fn follow(&mut self, wanted: Arc<BTreeSet<Target>>) {
        for number in self.schedule.follow(wanted, Instant::now()) {
            if let Some(probe) = self.running.remove(&number) {
                probe.abort();
            }
        }
    }

    fn has_socket(&self) -> bool {
        self.probes.len() < self.sockets
    }

    fn start_probes(&mut self) {
        let now = Instant::now();
        while self.has_socket() {
            let Some((number, target)) = self.schedule.start(now) else {
                return;
            };
            let probe = ask(number, target, self.findings_in.clone());
            self.running.insert(number, self.probes.spawn(probe));
        }
    }

    /// Takes in all that probes have found and all that have ended.
    fn take_findings(&mut self) {
        while let Ok(finding) = self.findings.try_recv() {
            self.take(finding);
        }
        while let Some(ended) = self.probes.try_join_next() {
            self.let_go(ended.ok());
        }
    }

    fn take(&mut self, (number, finding): Finding) {
        let outcome = match finding {
            Ok(()) => Ok(()),
            Err(Failure::Target(why)) => Err(why),
            Err(Failure::Here(why)) => {
                if let Some(count) = self.shortage.count(Instant::now()) {
                    tracing::warn!(
                        "this host could not make {count} health checks, and backends keep their health: {why}"
                    );
                }
                self.schedule.reported(number, Instant::now());
                return;
            }
        };
        if let Some(target) = self.schedule.target(number) {
            self.outbox.push_back((number, Report { target, outcome }));
        }
    }

    /// A probe has ended, and its socket is closed; one that was aborted has no number.
    fn let_go(&mut self, ended: Option<Number>) {
        if let Some(number) = ended {
            self.running.remove(&number);
            self.schedule.ended(number, Instant::now());
        }
    }

    /// Hands over reports as long as there is room for them.
    fn hand_over(&mut self, reports: &mpsc::Sender<Report>) {
        while !self.outbox.is_empty() {
            let Ok(room) = reports.try_reserve() else {
                return;
            };
            if let Some((number, report)) = self.outbox.pop_front()
                && self.schedule.reported(number, Instant::now())
            {
                room.send(report);
            }
        }
    }
}

/// Asks a target once, tells what came of it, and then ends the connection.
async fn ask(
    number: Number,
    target: Arc<Target>,
    findings: mpsc::UnboundedSender<Finding>,
) -> Number {
    let deadline = Instant::now() + target.timeout();
    // Nobody listens any more only when this task is about to be aborted.
    match probe(&target, deadline).await {
        Ok(connection) => {
            let _ = findings.send((number, Ok(())));
            take_leave(connection, deadline).await;
        }
        Err(failure) => drop(findings.send((number, Err(failure)))),
    }
    number
}
