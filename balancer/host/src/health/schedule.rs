//! Which target is asked when. Time is an argument.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::Target;

/// Jitter: a probe starts earlier than the interval says by up to this share of it, and never later.
const JITTER: f64 = 0.1;

/// Targets that come together are spread so that about this many are asked for the first time in a second.
const FIRST_PROBES_PER_SECOND: f64 = 5_000.0;

/// A target's number; another life of the same target has another one.
pub(crate) type Number = u64;

/// All targets: those that wait until they are due, and those that are being asked.
///
/// A target waits again once its probe has let go of its socket and somebody has taken its report: so its probes never
/// overlap, its reports keep their order, and a slow reader has one report of each target before it at most.
#[derive(Debug)]
pub(crate) struct Schedule {
    wanted: Arc<BTreeSet<Target>>,
    numbers: BTreeMap<Arc<Target>, Number>,
    entries: HashMap<Number, Entry>,
    /// Those that wait, by when they are due.
    due: BTreeSet<(Instant, Number)>,
    next: Number,
    random: fastrand::Rng,
}

#[derive(Debug)]
struct Entry {
    target: Arc<Target>,
    /// When its next probe is due.
    due: Instant,
    /// Whether its probe has a socket.
    probing: bool,
    /// Whether what its probe finds out has yet to be taken.
    unreported: bool,
}

impl Schedule {
    pub(crate) fn new(random: fastrand::Rng) -> Self {
        Self {
            wanted: Arc::default(),
            numbers: BTreeMap::new(),
            entries: HashMap::new(),
            due: BTreeSet::new(),
            next: 0,
            random,
        }
    }

    /// From `now` on these are asked; returns those that no longer are.
    pub(crate) fn follow(&mut self, wanted: Arc<BTreeSet<Target>>, now: Instant) -> Vec<Number> {
        let former = std::mem::replace(&mut self.wanted, Arc::clone(&wanted));
        let mut gone = Vec::new();
        for target in former.difference(&wanted) {
            let Some(number) = self.numbers.remove(target) else {
                continue;
            };
            if let Some(entry) = self.entries.remove(&number) {
                self.due.remove(&(entry.due, number));
            }
            gone.push(number);
        }
        let new: Vec<_> = wanted.difference(&former).collect();
        let spread = new.len() as f64 / FIRST_PROBES_PER_SECOND;
        for target in new {
            let spread = target.interval().as_secs_f64().min(spread);
            let due = now + Duration::from_secs_f64(spread * self.random.f64());
            let (target, number) = (Arc::new(target.clone()), self.next);
            self.next += 1;
            self.due.insert((due, number));
            self.numbers.insert(Arc::clone(&target), number);
            let entry = Entry {
                target,
                due,
                probing: false,
                unreported: false,
            };
            self.entries.insert(number, entry);
        }
        gone
    }

    /// When the next target is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|&(due, _)| due)
    }

    /// The target that has been due for the longest at `now`: its probe starts.
    ///
    /// Its next one is due an interval after this one was, so that delays do not add up. Probes that a target should have
    /// had meanwhile are left out: the next one is never due at once.
    pub(crate) fn start(&mut self, now: Instant) -> Option<(Number, Arc<Target>)> {
        let &(due, number) = self.due.first().filter(|(due, _)| *due <= now)?;
        self.due.pop_first();
        let entry = self.entries.get_mut(&number)?;
        let step = 1.0 - JITTER * self.random.f64();
        let step = entry.target.interval().mul_f64(step);
        entry.due = Some(due + step)
            .filter(|next| *next > now)
            .unwrap_or(now + step);
        (entry.probing, entry.unreported) = (true, true);
        Some((number, Arc::clone(&entry.target)))
    }

    /// The target with this number, if it is still wanted.
    pub(crate) fn target(&self, number: Number) -> Option<Arc<Target>> {
        let entry = self.entries.get(&number)?;
        Some(Arc::clone(&entry.target))
    }

    /// What a probe found out is being taken, or it found out nothing; whether its target is still wanted.
    pub(crate) fn reported(&mut self, number: Number, now: Instant) -> bool {
        self.go_on(number, now, |entry| entry.unreported = false)
    }

    /// A target's probe has let go of its socket.
    pub(crate) fn ended(&mut self, number: Number, now: Instant) {
        self.go_on(number, now, |entry| entry.probing = false);
    }

    fn go_on(&mut self, number: Number, now: Instant, change: impl Fn(&mut Entry)) -> bool {
        let Some(entry) = self.entries.get_mut(&number) else {
            return false;
        };
        change(entry);
        if !entry.probing && !entry.unreported {
            // A report that nobody took for a while is no reason to hurry afterwards.
            entry.due = entry.due.max(now);
            self.due.insert((entry.due, number));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use balancer_core::model::{CheckKind, Tcp};

    use super::*;

    fn target(port: u16, interval_ms: u32) -> Target {
        Target {
            address: [10, 0, 0, 1].into(),
            port,
            kind: CheckKind::Tcp(Tcp {}),
            interval_ms,
            timeout_ms: interval_ms,
        }
    }

    /// A schedule of targets with ports from 0 on, and when they came.
    fn schedule(count: u16, interval_ms: u32) -> (Schedule, Instant) {
        let mut schedule = Schedule::new(fastrand::Rng::with_seed(7));
        let wanted = (0..count).map(|port| target(port, interval_ms)).collect();
        let now = Instant::now();
        assert!(schedule.follow(Arc::new(wanted), now).is_empty());
        (schedule, now)
    }

    /// Everything that starts at `now`.
    fn starts(schedule: &mut Schedule, now: Instant) -> Vec<Number> {
        let starts = std::iter::from_fn(|| schedule.start(now));
        starts.map(|(number, _)| number).collect()
    }

    /// A probe lets go of its socket, and somebody takes its report.
    fn finish(schedule: &mut Schedule, number: Number, now: Instant) {
        schedule.ended(number, now);
        assert!(schedule.reported(number, now));
    }

    const NOBODY: [Number; 0] = [];

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    // Promise: H3
    #[test]
    fn the_first_probes_of_many_targets_are_spread_at_five_thousand_a_second() {
        let (mut schedule, start) = schedule(32_767, 10_000);
        let mut counts = Vec::new();
        for second in 1..=10 {
            counts.push(starts(&mut schedule, start + ms(second * 1_000)).len());
        }
        assert_eq!(counts.iter().sum::<usize>(), 32_767, "{counts:?}");
        assert!(
            counts[..6]
                .iter()
                .all(|count| (4_500..5_500).contains(count))
        );
        assert_eq!(counts[7..], [0; 3], "{counts:?}");
    }

    // Promise: H3
    #[test]
    fn the_first_probe_of_one_target_starts_at_once_and_of_many_within_an_interval() {
        let (mut one, start) = schedule(1, 60_000);
        assert_eq!(starts(&mut one, start + ms(1)), [0]);
        let (mut many, start) = schedule(10_000, 500);
        assert_eq!(starts(&mut many, start + ms(500)).len(), 10_000);
    }

    #[test]
    fn a_target_is_due_again_once_its_socket_is_closed_and_its_report_is_taken() {
        for socket_first in [true, false] {
            let (mut schedule, start) = schedule(1, 1_000);
            assert_eq!(starts(&mut schedule, start + ms(1)), [0]);
            let late = start + ms(5_000);
            match socket_first {
                true => schedule.ended(0, late),
                false => assert!(schedule.reported(0, late)),
            }
            assert_eq!(starts(&mut schedule, late), NOBODY);
            match socket_first {
                true => assert!(schedule.reported(0, late)),
                false => schedule.ended(0, late),
            }
            assert_eq!(starts(&mut schedule, late), [0]);
        }
    }

    // Promise: H3
    #[test]
    fn a_probe_that_is_late_by_more_than_its_interval_leaves_out_those_it_missed() {
        let (mut schedule, start) = schedule(1, 1_000);
        // No socket for five seconds.
        let late = start + ms(5_000);
        assert_eq!(starts(&mut schedule, late), [0]);
        finish(&mut schedule, 0, late);
        assert_eq!(starts(&mut schedule, late + ms(899)), NOBODY);
        assert_eq!(starts(&mut schedule, late + ms(1_000)), [0]);
    }

    #[test]
    fn a_probe_that_is_a_little_late_puts_off_no_later_one() {
        let (mut schedule, start) = schedule(1, 1_000);
        let first = schedule.next_due().expect("one is due");
        let late = start + ms(600);
        assert_eq!(starts(&mut schedule, late), [0]);
        finish(&mut schedule, 0, late);
        let next = schedule.next_due().expect("it is due again") - first;
        assert!(ms(900) <= next && next <= ms(1_000), "{next:?}");
    }

    // Promise: H3
    #[test]
    fn the_one_that_has_waited_longest_is_the_next() {
        let (mut schedule, start) = schedule(100, 1_000);
        // With one socket, each in its turn, and nobody twice before everybody has had theirs.
        let mut asked = BTreeSet::new();
        for turn in 0..100 {
            let now = start + ms(2_000 + turn * 100);
            let (number, _) = schedule.start(now).expect("somebody is due");
            assert!(asked.insert(number), "{number} again after {asked:?}");
            finish(&mut schedule, number, now);
        }
    }

    #[test]
    fn a_target_that_goes_takes_its_report_with_it_and_is_new_when_it_comes_back() {
        let (mut schedule, start) = schedule(1, 1_000);
        assert_eq!(starts(&mut schedule, start + ms(1)), [0]);
        assert_eq!(schedule.follow(Arc::default(), start), [0]);
        assert_eq!(schedule.target(0), None);
        assert!(!schedule.reported(0, start));
        schedule.ended(0, start);
        assert_eq!(schedule.next_due(), None);
        schedule.follow(Arc::new([target(0, 1_000)].into()), start);
        assert_eq!(starts(&mut schedule, start + ms(1)), [1]);
    }
}
