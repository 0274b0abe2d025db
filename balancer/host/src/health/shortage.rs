//! Probes that this host could not make: said at once, then once a minute, however many they are.

use std::time::Duration;

use tokio::time::Instant;

const SAID_EVERY: Duration = Duration::from_secs(60);

/// Probes that were not made, and when that was last said.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    said: Option<Instant>,
    unsaid: u64,
}

impl Shortage {
    /// Counts a probe that was not made at `now`; gives how many it has been since the last time, when it is time to say so.
    pub(crate) fn count(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if (self.said).is_some_and(|said| now.duration_since(said) < SAID_EVERY) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: H3
    #[test]
    fn a_shortage_is_said_at_once_and_then_once_a_minute_with_a_count() {
        let (mut shortage, start) = (Shortage::default(), Instant::now());
        let mut said = Vec::new();
        for ms in 0..150_000_u64 {
            if let Some(count) = shortage.count(start + Duration::from_millis(ms)) {
                said.push((ms, count));
            }
        }
        assert_eq!(said, [(0, 1), (60_000, 60_000), (120_000, 60_000)]);
    }
}
