//! The pace of the control loop: what comes closely behind something is taken together with what follows, so that many cost
//! little more than few, and probes have the rest of a processor.
//!
//! Pure: time is an argument.

use std::time::Duration;

use balancer_core::model::Health;
use tokio::time::Instant;

/// How many times longer than changes kept a processor busy, or a publication took, it takes until the next ones.
const REST: u32 = 4;

/// The longest rest after changes.
const LONGEST_REST: Duration = Duration::from_millis(25);

/// The shortest rest between two publications for reports and next hops: backends of one host go down one by one, as their probes
/// end.
const SHORTEST_REST: Duration = Duration::from_millis(20);

/// How soon what is known is to be in the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// A backend was asked for the first time.
    FirstReport,
    /// A backend is up again.
    Up,
    /// A backend is down, or has another next hop: until then packets go where nobody answers.
    Down,
}

impl Urgency {
    /// That of a backend whose health has become another one.
    pub(super) fn of(before: Health, health: Health) -> Self {
        match (before, health) {
            (_, Health::Down) => Self::Down,
            (Health::Unknown, _) => Self::FirstReport,
            _ => Self::Up,
        }
    }

    /// How long to rest after a publication that took so long.
    fn rest(self, took: Duration) -> Duration {
        let (times, longest) = match self {
            Self::FirstReport => (REST, Duration::from_secs(2)),
            Self::Up => (REST, Duration::from_millis(100)),
            Self::Down => (1, Duration::from_millis(500)),
        };
        (times * took).clamp(SHORTEST_REST, longest)
    }
}

/// When commands are taken, and when what reports and next hops have touched is published.
#[derive(Debug)]
pub(super) struct Pace {
    /// When commands are taken again.
    rested: Instant,
    /// When the last publication ended.
    published: Instant,
    /// How long it took.
    took: Duration,
    /// When the next one is due, if something waits for it.
    due: Option<Instant>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            rested: now,
            published: now,
            took: Duration::ZERO,
            due: None,
        }
    }

    /// When commands are taken again.
    pub(super) fn rested(&self) -> Instant {
        self.rested
    }

    /// When a publication is due that something waits for.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// So many changes were carried out until `now`, and a processor was `busy` saving and publishing them for so long: what they waited for, a disk or
    /// other threads, costs nobody anything. The more came together, the more are under way, and each pass costs the same for few of
    /// them as for many: so they rest the longer.
    pub(super) fn changed(&mut self, count: usize, busy: Duration, now: Instant) {
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        let rest = (REST * busy).saturating_mul(count);
        self.rested = now + LONGEST_REST.min(rest);
    }

    /// Something is to be published: whether now, or later when it is due.
    pub(super) fn wants(&mut self, urgency: Urgency, now: Instant) -> bool {
        let due = self.published + urgency.rest(self.took);
        if due <= now {
            return true;
        }
        self.due = Some(self.due.map_or(due, |known| known.min(due)));
        false
    }

    /// Everything was published from `began` until `now`.
    pub(super) fn published(&mut self, began: Instant, now: Instant) {
        (self.published, self.took, self.due) = (now, now - began, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    // Promise: H3
    #[test]
    fn who_is_down_is_taken_out_first_and_a_long_publication_leaves_time_for_probes() {
        for urgency in [Urgency::FirstReport, Urgency::Up, Urgency::Down] {
            assert_eq!(urgency.rest(ms(1)), SHORTEST_REST, "{urgency:?}");
        }
        assert_eq!(Urgency::Down.rest(ms(40)), ms(40));
        assert_eq!(Urgency::Up.rest(ms(20)), ms(80));
        assert_eq!(Urgency::Up.rest(ms(400)), ms(100));
        assert_eq!(Urgency::FirstReport.rest(ms(400)), ms(1_600));
        let of = |before| Urgency::of(before, Health::Up);
        let urgencies = [
            of(Health::Unknown),
            of(Health::Down),
            Urgency::of(Health::Up, Health::Down),
        ];
        assert!(urgencies.is_sorted());
    }

    #[test]
    fn what_is_urgent_brings_a_publication_forward_and_nothing_puts_it_off() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        assert!(pace.wants(Urgency::Up, began + SHORTEST_REST));
        let ended = began + ms(40);
        pace.published(began, ended);
        assert!(!pace.wants(Urgency::FirstReport, ended));
        assert_eq!(pace.due(), Some(ended + ms(160)));
        assert!(!pace.wants(Urgency::Down, ended + ms(10)));
        assert_eq!(pace.due(), Some(ended + ms(40)));
        assert!(!pace.wants(Urgency::FirstReport, ended + ms(20)));
        assert_eq!(pace.due(), Some(ended + ms(40)));
        assert!(pace.wants(Urgency::Down, ended + ms(40)));
        pace.published(ended + ms(40), ended + ms(41));
        assert_eq!(pace.due(), None);
    }

    #[test]
    fn commands_rest_after_changes_and_never_for_long() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        assert_eq!(pace.rested(), began);
        pace.changed(1, ms(2), began);
        assert_eq!(pace.rested(), began + ms(8));
        pace.changed(1, ms(500), began);
        assert_eq!(pace.rested(), began + LONGEST_REST);
        for (count, rest) in [(0, ms(8)), (2, ms(16)), (3, ms(24)), (512, LONGEST_REST)] {
            pace.changed(count, ms(2), began);
            assert_eq!(pace.rested(), began + rest, "{count}");
        }
    }
}
