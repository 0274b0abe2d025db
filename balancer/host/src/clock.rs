//! The wall clock, for what outlives a process, and the time of a processor that a thread has had.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since 1970, UTC.
pub fn unix_ms() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// How long this thread has had a processor. What it waited for, and what others did meanwhile, does not count.
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Both are as `Duration` has them: never negative, and less than a second of nanoseconds.
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn a_threads_time_stands_still_while_it_sleeps() {
        let before = thread_time();
        sleep(Duration::from_millis(300));
        let slept = thread_time() - before;
        assert!(slept < Duration::from_millis(150), "{slept:?}");
        let mut turns = 0_u64;
        while thread_time() - before < slept + Duration::from_millis(5) {
            turns += 1;
        }
        assert!(turns > 0);
    }
}
