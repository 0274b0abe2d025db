//! Bridges, hosts and the links between them.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::namespace::Namespace;
use crate::world::World;

/// The client's side keeps the usual MTU; the fabric has room for the outer headers.
const FABRIC_MTU: u32 = 1600;

/// A veth between a host and a bridge of the router's.
pub(crate) struct Link<'a> {
    /// The host's end.
    pub(crate) device: &'a str,
    /// The router's end.
    pub(crate) port: &'a str,
    /// What the router's end is a port of.
    pub(crate) bridge: &'a str,
    /// The host's addresses, with prefix lengths.
    pub(crate) addresses: &'a [&'a str],
}

/// A host that is connected to nothing yet.
pub(crate) fn add_host(world: &World, name: &str) -> Result<Namespace> {
    let host = world.add_namespace(name)?;
    host.sysctls(&[
        ("ipv6/conf/default/accept_dad", "0"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        // The VIP on an instance's loopback is no business of the fabric's.
        ("ipv4/conf/all/arp_ignore", "1"),
        ("ipv4/conf/all/arp_announce", "2"),
        ("ipv4/conf/default/arp_notify", "1"),
        ("ipv6/conf/default/ndisc_notify", "1"),
    ])?;
    Ok(host)
}

/// A bridge with the router's own addresses on it.
///
/// It has a MAC of its own: otherwise it takes the lowest of its ports', and its neighbours would
/// send to a former one after a port was added.
pub(crate) fn add_bridge(router: &Namespace, name: &str, addresses: &[&str]) -> Result<()> {
    let mac = mac(addresses);
    router.ip(&format!(
        "link add {name} {mac} mtu {FABRIC_MTU} type bridge stp_state 0 mcast_snooping 0\n\
         link set {name} up\n{}",
        add_addresses(name, addresses),
    ))
}

/// Makes the link, both ends up.
pub(crate) fn connect(router: &Namespace, host: &Namespace, link: &Link<'_>) -> Result<()> {
    let Link {
        device,
        port,
        bridge,
        addresses,
    } = link;
    let name = host.name();
    let mac = mac(addresses);
    router.ip(&format!(
        "link add {port} mtu {FABRIC_MTU} type veth \
         peer name {device} {mac} mtu {FABRIC_MTU} netns {name}\n\
         link set {port} master {bridge}\n\
         link set {port} up\n"
    ))?;
    let addresses = add_addresses(device, addresses);
    host.ip(&format!("{addresses}link set {device} up\n"))?;
    // A native program sees what the sender's stack left undone: checksums must be whole.
    router.run("ethtool", &["--offload", port, "tx", "off"])?;
    host.run("ethtool", &["--offload", device, "tx", "off"])?;
    Ok(())
}

/// A MAC address of the IPv4 address, as container runtimes do: whoever comes back with it is found at once.
fn mac(addresses: &[&str]) -> String {
    let ipv4 = addresses
        .iter()
        .find_map(|address| address.split('/').next()?.parse::<Ipv4Addr>().ok());
    ipv4.map_or_else(String::new, |ipv4| {
        let [a, b, c, d] = ipv4.octets();
        format!("address 02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
    })
}

fn add_addresses(device: &str, addresses: &[&str]) -> String {
    let add = |address: &&str| {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        format!("addr add {address} dev {device}{nodad}\n")
    };
    addresses.iter().map(add).collect()
}
