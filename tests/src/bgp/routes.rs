//! What a router's kernel does with a VIP.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{Namespace, wait_for};

/// The next hops of exactly this address; none if there is no such route.
pub fn next_hops(router: &Namespace, vip: IpAddr) -> Result<BTreeSet<IpAddr>> {
    let (family, bits) = if vip.is_ipv4() {
        ("-4", 32)
    } else {
        ("-6", 128)
    };
    let prefix = format!("{vip}/{bits}");
    let text = router.run("ip", &["-json", family, "route", "show", "exact", &prefix])?;
    let routes: Value = match text.as_str() {
        "" => return Ok(BTreeSet::new()),
        text => serde_json::from_str(text).context("`ip -json` made no JSON")?,
    };
    let mut found = BTreeSet::new();
    for route in routes.as_array().into_iter().flatten() {
        let several = route["nexthops"].as_array().into_iter().flatten();
        for hop in several.chain([route]) {
            // A next hop of the other family is called `via`.
            let gateway = hop["gateway"].as_str().or(hop["via"]["host"].as_str());
            if let Some(gateway) = gateway {
                found.insert(gateway.parse()?);
            }
        }
    }
    Ok(found)
}

/// Waits until the VIP is routed to exactly these next hops; how long that took since `since`.
pub fn wait_for_next_hops(
    router: &Namespace,
    vip: IpAddr,
    wanted: &[IpAddr],
    since: Instant,
    timeout: Duration,
) -> Result<Duration> {
    let wanted: BTreeSet<IpAddr> = wanted.iter().copied().collect();
    let what = format!("{vip} to be routed to {wanted:?} in {}", router.name());
    wait_for(&what, timeout, || {
        let found = next_hops(router, vip)?;
        ensure!(found == wanted, "it is routed to {found:?}");
        Ok(since.elapsed())
    })
}
