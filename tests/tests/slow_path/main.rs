//! Packets of the slow path, as hosts and routers send them: through the real edge to real instances, and back.

mod echo;
mod fragments;
mod path_mtu;
mod tags;

use anyhow::{Context, Result};
use testbed::Edge;

const NAMES: [&str; 3] = ["one", "two", "three"];

/// How many packets met a reason at the edge.
fn at_edge(edge: &Edge, reason: &str) -> Result<u64> {
    let reasons = edge.status()?.reasons;
    let count = reasons.iter().find(|count| count.reason == reason);
    Ok(count
        .with_context(|| format!("no reason {reason}"))?
        .packets)
}
