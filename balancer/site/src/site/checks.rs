//! Health checks of a workload's containers: those of the site itself, and those of its edges.

use balancer_config::workload::{Port, Probe, Question};
use balancer_core::model::{Check, CheckKind, Protocol, Tcp};

/// The longest interval of an edge's check, in milliseconds: an edge has to know soon that an instance died.
const SLOWEST_MS: u32 = 1_000;

/// The shortest interval and timeout of a check, in milliseconds.
const SHORTEST_MS: u32 = 100;

/// A probe as the site carries it out.
pub fn site_check(probe: &Probe) -> Check {
    let Question { kind, port } = probe.question.clone();
    let interval_ms = milliseconds(probe.period_seconds).max(SHORTEST_MS);
    Check {
        kind,
        port,
        interval_ms,
        timeout_ms: milliseconds(probe.timeout_seconds).clamp(SHORTEST_MS, interval_ms),
        rise: threshold(probe.success_threshold),
        fall: threshold(probe.failure_threshold),
    }
}

/// What an edge asks the backends of a port: the readiness probe, more often. Without a probe, whether a TCP port
/// accepts connections; of a UDP port nothing can be asked.
pub(super) fn edge_check(readiness: Option<&Probe>, port: &Port) -> Option<Check> {
    let (kind, port, period_seconds, timeout_seconds, fall) = match readiness {
        Some(probe) => {
            let Question { kind, port } = probe.question.clone();
            let (period, timeout) = (probe.period_seconds, probe.timeout_seconds);
            (kind, port, period, timeout, probe.failure_threshold)
        }
        None if port.protocol == Protocol::Tcp => {
            (CheckKind::Tcp(Tcp {}), port.port, 1, 1, Check::FALL.into())
        }
        None => return None,
    };
    let interval_ms = milliseconds(period_seconds).clamp(SHORTEST_MS, SLOWEST_MS);
    Some(Check {
        kind,
        port,
        interval_ms,
        timeout_ms: milliseconds(timeout_seconds).clamp(SHORTEST_MS, interval_ms),
        // The site told the edge of an instance that is ready already.
        rise: 1,
        fall: threshold(fall).min(10),
    })
}

fn milliseconds(seconds: u32) -> u32 {
    seconds.saturating_mul(1_000)
}

fn threshold(count: u32) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX).max(1)
}
