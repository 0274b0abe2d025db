//! What a host's instances are connected to.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    ConfigError,
    edge::{INTERFACE, interface},
    section::{Section, Value},
};

/// The bridge that a host's instances are connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNetwork {
    /// The bridge's name, and Docker's network's.
    pub bridge: String,
    /// The addresses of its instances.
    pub subnet: Ipv4Net,
    /// The host's own address in it.
    pub gateway: Ipv4Addr,
    /// IPv6 addresses of its instances.
    pub subnet6: Option<Ipv6Net>,
    /// The host's own address in it.
    pub gateway6: Option<Ipv6Addr>,
    /// The longest packet of the instances' interfaces, in bytes: the outer header has to fit, too.
    pub mtu: u32,
}

/// Room for the outer headers around the usual 1500 bytes.
const MTU: u32 = 1_600;

/// IPv6's minimum.
const SHORTEST_MTU: u32 = 1_280;

/// The longest that a veth carries with a native XDP program on linear frames.
const LONGEST_MTU: u32 = 3_506;

/// What a network looks like.
pub(super) const NETWORK: &str =
    "a table such as { bridge = \"balancer0\", subnet = \"10.2.1.0/24\" }";

/// Reads a host's network.
pub(super) fn network(value: &Value<'_>) -> Result<HostNetwork, ConfigError> {
    let keys = ["bridge", "subnet", "gateway", "subnet6", "gateway6", "mtu"];
    let section = value.section(&keys, NETWORK)?;
    let bridge = interface(&section.required("bridge", INTERFACE)?)?;
    let example = "10.2.1.0/24";
    let value = section.required("subnet", &format!("a prefix such as {example:?}"))?;
    let IpNet::V4(subnet) = prefix(&value, example)? else {
        return Err(value.error("it is IPv6".into(), &format!("IPv4, such as {example:?}")));
    };
    if subnet.prefix_len() > 30 {
        return Err(value.error("it has no room for instances".into(), "/30 or shorter"));
    }
    let gateway = match section.get("gateway") {
        Some(value) => {
            let gateway: Ipv4Addr = value.parse("an IPv4 address in quotes")?;
            if !subnet.contains(&gateway)
                || [subnet.network(), subnet.broadcast()].contains(&gateway)
            {
                let problem = format!("{gateway} is no host's address in {subnet}");
                return Err(value.error(problem, "an address of the subnet"));
            }
            gateway
        }
        None => subnet.hosts().next().expect("a /30 has hosts"),
    };
    let (subnet6, gateway6) = network6(&section)?;
    let mtu = match section.get("mtu") {
        Some(value) => {
            let expected = format!("{SHORTEST_MTU} to {LONGEST_MTU}");
            let mtu: u32 = value.integer(&expected)?;
            if !(SHORTEST_MTU..=LONGEST_MTU).contains(&mtu) {
                return Err(value.error(format!("{mtu} is out of range"), &expected));
            }
            mtu
        }
        None => MTU,
    };
    Ok(HostNetwork {
        bridge,
        subnet,
        gateway,
        subnet6,
        gateway6,
        mtu,
    })
}

fn network6(section: &Section<'_>) -> Result<(Option<Ipv6Net>, Option<Ipv6Addr>), ConfigError> {
    let example = "2001:db8:2::/64";
    let Some(value) = section.get("subnet6") else {
        return match section.get("gateway6") {
            Some(value) => {
                let problem = "there is no `subnet6` that it would be in".to_owned();
                Err(value.error(problem, "both, or neither"))
            }
            None => Ok((None, None)),
        };
    };
    let IpNet::V6(subnet) = prefix(&value, example)? else {
        return Err(value.error("it is IPv4".into(), &format!("IPv6, such as {example:?}")));
    };
    if subnet.prefix_len() > 120 {
        return Err(value.error("it has no room for instances".into(), "/120 or shorter"));
    }
    let gateway = match section.get("gateway6") {
        Some(value) => {
            let gateway: Ipv6Addr = value.parse("an IPv6 address in quotes")?;
            if !subnet.contains(&gateway) || gateway == subnet.network() {
                let problem = format!("{gateway} is no host's address in {subnet}");
                return Err(value.error(problem, "an address of the subnet"));
            }
            gateway
        }
        None => Ipv6Addr::from(u128::from(subnet.network()) + 1),
    };
    Ok((Some(subnet), Some(gateway)))
}

/// A prefix without bits behind it.
pub(super) fn prefix(value: &Value<'_>, example: &str) -> Result<IpNet, ConfigError> {
    let prefix: IpNet = value.parse(&format!("a prefix such as {example:?}"))?;
    if prefix != prefix.trunc() {
        let problem = format!("{prefix} has bits set behind its prefix");
        return Err(value.error(problem, &format!("\"{}\"", prefix.trunc())));
    }
    Ok(prefix)
}
