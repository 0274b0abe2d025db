//! Which addresses a workload gets from the pool.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::{ConfigError, FleetConfig};

/// The first free address of each family that the pool has, given those in use.
///
/// A VIP is a route of its own, but what is around it may take a prefix for a network on a link. So of an IPv4 prefix
/// with more than two addresses the first (the network's) and the last (its broadcast) are left out, and of an IPv6
/// prefix with more than two the first (the routers' anycast address, RFC 4291 section 2.6.1).
///
/// # Errors
///
/// When the pool has no prefix, or no free address in a family that it has; the error names the pool's line.
pub fn choose_vips(
    fleet: &FleetConfig,
    used: &BTreeSet<IpAddr>,
) -> Result<Vec<IpAddr>, ConfigError> {
    let pool = &fleet.vip_pool;
    let error = |key: &str, problem: String, expected: &str| ConfigError {
        file: fleet.file.clone(),
        line: pool.line,
        key: key.to_owned(),
        problem,
        expected: expected.to_owned(),
    };
    if pool.ipv4.is_empty() && pool.ipv6.is_empty() {
        let problem = "a workload asks for an anycast address, and the pool has none".to_owned();
        let expected = "prefixes such as ipv4 = [\"198.51.100.0/28\"]";
        return Err(error("vip_pool", problem, expected));
    }
    let free = |vip: &IpAddr| !used.contains(vip);
    let mut vips = Vec::new();
    if !pool.ipv4.is_empty() {
        let mut all = pool.ipv4.iter().flat_map(usable_v4).map(IpAddr::from);
        vips.push(all.find(free).ok_or_else(|| {
            let problem = format!("all {} addresses are in use", count_v4(&pool.ipv4));
            error("vip_pool.ipv4", problem, "one more prefix")
        })?);
    }
    if !pool.ipv6.is_empty() {
        let mut all = pool.ipv6.iter().flat_map(usable_v6).map(IpAddr::from);
        vips.push(all.find(free).ok_or_else(|| {
            let problem = "all addresses are in use".to_owned();
            error("vip_pool.ipv6", problem, "one more prefix")
        })?);
    }
    Ok(vips)
}

fn usable_v4(prefix: &Ipv4Net) -> impl Iterator<Item = Ipv4Addr> + use<> {
    let (first, last) = (u32::from(prefix.network()), u32::from(prefix.broadcast()));
    let left_out = u32::from(prefix.prefix_len() < 31);
    (first + left_out..=last - left_out).map(Ipv4Addr::from)
}

fn count_v4(prefixes: &[Ipv4Net]) -> u64 {
    let count = |prefix: &Ipv4Net| match prefix.prefix_len() {
        length @ 31.. => 1 << (32 - length),
        length => (1_u64 << (32 - length)) - 2,
    };
    prefixes.iter().map(count).sum()
}

fn usable_v6(prefix: &Ipv6Net) -> impl Iterator<Item = Ipv6Addr> + use<> {
    let (first, last) = (u128::from(prefix.network()), u128::from(prefix.broadcast()));
    let left_out = u128::from(prefix.prefix_len() < 127);
    (first + left_out..=last).map(Ipv6Addr::from)
}
