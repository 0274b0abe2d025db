//! Requests to a VIP, from the client, through the edge, to the instances and straight back.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use testbed::{Agent, Edge, EdgeOptions, Load, Topology, World, assert_native_xdp};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// A service of the three instances, as the configuration declares it.
fn service(topology: &Topology, vip: IpAddr, protocol: &str) -> String {
    let mut text = format!(
        "[[service]]\nname = \"web\"\nvip = \"{vip}\"\nport = {}\nprotocol = \"{protocol}\"\n\
         encapsulation = \"gue\"\n\
         check = {{ type = \"http\", path = \"/\", interval_ms = 200, timeout_ms = 200, rise = 1, fall = 2 }}\n",
        Topology::PORT
    );
    for instance in &topology.instances {
        let address = instance.address_like(vip);
        text.push_str(&format!(
            "[[service.backend]]\naddress = \"{address}\"\nweight = 1\n"
        ));
    }
    text
}

fn three_hundred_requests_reach_all_three(vip: IpAddr, protocol: &str) -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &NAMES)?;
    let _agent = Agent::start(&world, &topology, &[vip])?;
    let options = EdgeOptions {
        services: service(&topology, vip, protocol),
        ..EdgeOptions::default()
    };
    let _edge = Edge::start(&world, "edge", &topology.edge, &options)?;
    assert_native_xdp(&topology.edge, "eth0")?;
    let target = SocketAddr::new(vip, Topology::PORT);
    let load = match protocol {
        "tcp" => Load::http(&topology.client, target, 300, 300)?,
        _ => Load::udp(&topology.client, target, 300, 300)?,
    };
    assert_eq!(load.failed(), 0, "{:?}\n{}", load.failures(), world.logs());
    let names = load.names();
    for name in NAMES {
        assert!(
            names.get(name).is_some_and(|answers| *answers >= 70),
            "{names:?}"
        );
    }
    Ok(())
}

#[test]
fn tcp_over_ipv4_reaches_all_three() -> Result<()> {
    three_hundred_requests_reach_all_three(Topology::vip_v4(10).into(), "tcp")
}

#[test]
fn udp_over_ipv4_reaches_all_three() -> Result<()> {
    three_hundred_requests_reach_all_three(Topology::vip_v4(10).into(), "udp")
}

#[test]
fn tcp_over_ipv6_reaches_all_three() -> Result<()> {
    three_hundred_requests_reach_all_three(Topology::vip_v6(0x10).into(), "tcp")
}

#[test]
fn udp_over_ipv6_reaches_all_three() -> Result<()> {
    three_hundred_requests_reach_all_three(Topology::vip_v6(0x10).into(), "udp")
}
