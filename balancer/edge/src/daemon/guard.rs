//! `lbd guard`: withdraws the VIPs of an edge whose daemon stays dead.
//!
//! The speaker outlives the daemon, and so do the programs: for a while nothing is wrong. But nobody
//! follows health any more, so an edge must not be announced for ever.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use balancer_host::{signals::terminated, state_dir};
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::{Failure, edge::read};
use crate::announce;

/// How often the daemon is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// Runs until SIGTERM or SIGINT.
pub async fn run(file: &Path) -> Result<(), Failure> {
    let config = read(file)?;
    let Some(announce) = config.announce else {
        return Err(Failure::NothingToGuard {
            path: file.to_owned(),
        });
    };
    let mut vigil = Vigil {
        limit: Duration::from_secs(announce.guard_seconds.into()),
        last_sign: Instant::now(),
    };
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stop = terminated()?;
    tokio::pin!(stop);
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    info!(
        "withdraws when lbd edge is dead for {} s",
        announce.guard_seconds
    );
    let mut withdrawn = false;
    let mut said = None;
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            _ = look.tick() => {}
        }
        let alive = state_dir::is_alive(&config.state_dir)?;
        if !vigil.is_over(alive, Instant::now()) {
            if withdrawn {
                info!("lbd edge is back, and announces by itself");
            }
            (withdrawn, said) = (false, None);
            continue;
        }
        if withdrawn {
            continue;
        }
        match announce::withdraw_remembered(&config.state_dir).await {
            Ok(vips) => {
                withdrawn = true;
                let vips: Vec<String> = vips.iter().map(ToString::to_string).collect();
                warn!("lbd edge stays dead: withdrew [{}]", vips.join(", "));
            }
            Err(error) => {
                let error = error.to_string();
                if said.as_ref() != Some(&error) {
                    warn!("lbd edge stays dead, and its VIPs are not withdrawn yet: {error}");
                }
                said = Some(error);
            }
        }
    }
}

/// How long there was no sign of life.
struct Vigil {
    limit: Duration,
    last_sign: Instant,
}

impl Vigil {
    /// Whether the daemon has been dead for too long.
    fn is_over(&mut self, alive: bool, now: Instant) -> bool {
        if alive {
            self.last_sign = now;
        }
        now.saturating_duration_since(self.last_sign) >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_comes_back_in_time_is_left_alone_and_one_that_does_not_is_not() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut vigil = Vigil {
            limit: Duration::from_secs(10),
            last_sign: start,
        };
        assert!(!vigil.is_over(false, at(9)));
        assert!(!vigil.is_over(true, at(9)));
        assert!(!vigil.is_over(false, at(18)));
        assert!(vigil.is_over(false, at(19)));
        assert!(!vigil.is_over(true, at(20)));
    }
}
