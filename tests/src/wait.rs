//! Waiting for a condition instead of sleeping for luck.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::patient;

const POLL: Duration = Duration::from_millis(20);

/// Tries until `attempt` succeeds; after `timeout`, longer on a machine that is slow, its last error says what `what` was waiting for.
pub fn wait_for<T>(
    what: &str,
    timeout: Duration,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let timeout = patient(timeout);
    let deadline = Instant::now() + timeout;
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(error) if Instant::now() >= deadline => {
                return Err(error).with_context(|| format!("waited {timeout:?} for {what}"));
            }
            Err(_) => thread::sleep(POLL),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn waiting_ends_with_the_first_success() {
        let mut left = 3;
        let done = wait_for("three tries", Duration::from_secs(5), || {
            left -= 1;
            if left == 0 {
                Ok("done")
            } else {
                Err(anyhow!("not yet"))
            }
        });
        assert_eq!(done.unwrap(), "done");
    }

    #[test]
    fn a_timeout_names_what_it_waited_for_and_why() {
        let failed: Result<()> = wait_for("a miracle", Duration::from_millis(30), || {
            Err(anyhow!("none today"))
        });
        let text = format!("{:#}", failed.unwrap_err());
        assert_eq!(text, "waited 30ms for a miracle: none today");
    }
}
