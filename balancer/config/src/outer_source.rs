//! Outer sources: an address, or a prefix within which the source varies with the flow.

use std::{fmt::Display, str::FromStr};

use balancer_core::state::rules;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    ConfigError,
    section::{Section, Value},
};

/// Bits that a prefix has at least, IPv4 and IPv6: of what is behind it, 16 bits at most vary.
const SHORTEST: [u8; 2] = [16, 64];

/// Where packets to IPv4 backends come from, if the file says so.
pub(super) fn ipv4(file: &Section<'_>) -> Result<Option<Ipv4Net>, ConfigError> {
    let expected = "an IPv4 address or prefix in quotes";
    let value = file.get("source_ipv4");
    value
        .map(|value| source::<std::net::Ipv4Addr, _>(&value, expected))
        .transpose()
}

/// Where packets to IPv6 backends come from, if the file says so.
pub(super) fn ipv6(file: &Section<'_>) -> Result<Option<Ipv6Net>, ConfigError> {
    let expected = "an IPv6 address or prefix in quotes";
    let value = file.get("source_ipv6");
    value
        .map(|value| source::<std::net::Ipv6Addr, _>(&value, expected))
        .transpose()
}

fn source<A, P>(value: &Value<'_>, expected: &str) -> Result<P, ConfigError>
where
    A: FromStr<Err: Display> + Into<P>,
    P: FromStr<Err: Display> + Into<IpNet> + Copy,
{
    let prefix: P = match value.string(expected)?.contains('/') {
        true => value.parse(expected)?,
        false => value.parse::<A>(expected)?.into(),
    };
    let checked: IpNet = prefix.into();
    if let Some(problem) = rules::no_host(checked.addr()) {
        return Err(value.error(problem, "an address or a prefix of this edge"));
    }
    if checked != checked.trunc() {
        let problem = format!("{checked} has bits set behind its prefix");
        return Err(value.error(problem, &format!("\"{}\"", checked.trunc())));
    }
    let [ipv4, ipv6] = SHORTEST;
    let shortest = if checked.addr().is_ipv4() { ipv4 } else { ipv6 };
    if checked.prefix_len() < shortest {
        let problem = format!("{checked} is more than an edge can use");
        return Err(value.error(problem, &format!("a prefix of {shortest} bits or more")));
    }
    Ok(prefix)
}
