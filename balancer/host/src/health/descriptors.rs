//! File descriptors: how many of the process's own probes may hold at once.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What probes leave to the rest of the daemon: connections to its API, netlink, maps, the state file.
const RESERVE: u64 = 1_024;

/// Of a low limit, probes leave at least this part.
const RESERVED_PART: u64 = 4;

/// Raises the process's limit of open files as far as it may without asking anybody.
pub fn raise_limit() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(())
}

/// How many sockets probes may hold at once, by the process's limit of open files.
pub(crate) fn for_probes() -> usize {
    // Without an answer, what every system allows.
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(1_024, |(soft, _)| soft);
    share(soft)
}

fn share(limit: u64) -> usize {
    let share = limit.saturating_sub(RESERVE.min(limit / RESERVED_PART));
    usize::try_from(share).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_leave_a_thousand_descriptors_or_a_quarter_to_the_daemon() {
        let shares = [(20_000, 18_976), (4_096, 3_072), (1_024, 768), (1, 1)];
        for (limit, expected) in shares {
            assert_eq!(share(limit), expected, "of {limit}");
        }
    }
}
