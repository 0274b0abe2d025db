//! Backends behind VLAN devices of another interface: packets come untagged, and leave with the tags of the route's devices.

use std::time::Duration;

use anyhow::{Result, ensure};
use balancer_api::views::CheckedHealth;
use testbed::{
    Agent, Edge, EdgeOptions, Load, Namespace, Protocol, Topology, Workload, World,
    assert_native_xdp, attach_pass, wait_for,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// The only backend, behind `eth1`: by one VLAN, and by two of which the outer one is the provider's.
struct Bed {
    topology: Topology,
    host: Namespace,
    edge: Edge,
    _agent: Agent,
    once: Workload,
    twice: Workload,
}

impl Bed {
    fn new(world: &World) -> Result<Bed> {
        let mut topology = Topology::build(world, &[])?;
        let host = topology.add_host(world, "four")?;
        topology.connect(&host, "eth0", "fabric", &["10.1.0.40/24"])?;
        host.ip("route add default via 10.1.0.1\n")?;
        topology
            .edge
            .ip("link add eth1 mtu 1600 type veth peer name trunk mtu 1600 netns four\n")?;
        vlans(&topology.edge, "eth1", 1)?;
        vlans(&host, "trunk", 2)?;
        // Frames are redirected to it.
        attach_pass(world, &host, "trunk")?;
        topology.add_instance_on(world, &host, ("10.4.0.2".parse()?, "fd00:4::2".parse()?))?;
        let once = Workload {
            name: "once".to_owned(),
            ..Workload::new(Topology::vip_v4(10), Protocol::Tcp)
        };
        let twice = Workload {
            name: "twice".to_owned(),
            ..Workload::new(Topology::vip_v4(20), Protocol::Tcp)
        };
        let instance = |name: &str, device: &str, workload: &Workload| {
            format!(
                "[[instance]]\nname = \"{name}\"\nnetns = \"{}\"\ninterface = \"{device}\"\nvips = [\"{}\"]\n",
                host.path().display(),
                workload.target.ip(),
            )
        };
        // A VLAN device has no native XDP.
        let text = "edges = [\"10.4.0.0/16\", \"10.5.0.0/16\"]\nxdp_mode = \"generic\"\n"
            .to_owned()
            + &instance("once", "trunk.100", &once)
            + &instance("twice", "trunk.200.300", &twice);
        let agent = Agent::start_with(world, &topology.router, &text)?;
        let declared = |workload: &Workload| workload.declaration(&topology.instances);
        let options = EdgeOptions {
            settings: String::new(),
            services: declared(&once) + &declared(&twice).replace("10.4.0.2", "10.5.0.2"),
        };
        let edge = Edge::start(world, "edge", &topology.edge, &options)?;
        assert_native_xdp(&topology.edge, "eth0")?;
        let bed = Bed {
            topology,
            host,
            edge,
            _agent: agent,
            once,
            twice,
        };
        bed.has_next_hops(["vlan 100", "vlan 200 vlan 300"])?;
        Ok(bed)
    }

    /// Waits until both backends are up and reached by `eth1` with these tags.
    fn has_next_hops(&self, tags: [&str; 2]) -> Result<()> {
        wait_for("both backends to be up", PATIENCE, || {
            let backends = self.edge.backends()?;
            for (backend, tags) in backends.iter().zip(tags) {
                let by = backend.next_hop.as_deref().unwrap_or("none");
                let expected = by.ends_with(&format!(" dev eth1 {tags}"));
                ensure!(
                    expected && backend.health == CheckedHealth::Up,
                    "{backend:?}"
                );
            }
            Ok(())
        })
    }

    fn answered(&self) -> Result<()> {
        for workload in [&self.once, &self.twice] {
            let client = &self.topology.client;
            let load = Load::send(client, workload.target, workload.protocol, 100, 100)?;
            let name = &workload.name;
            ensure!(load.failed() == 0, "{name}: {:?}", load.failures());
            ensure!(
                load.names().get("four") == Some(&100),
                "{name}: {:?}",
                load.names()
            );
        }
        Ok(())
    }
}

/// VLAN 100 on `device`, and VLAN 300 on the provider's 200, with the host's number in their networks.
fn vlans(namespace: &Namespace, device: &str, host: u8) -> Result<()> {
    namespace.ip(&format!(
        "link set {device} up\n\
         link add link {device} name {device}.100 type vlan id 100\n\
         addr add 10.4.0.{host}/24 dev {device}.100\n\
         link set {device}.100 up\n\
         link add link {device} name {device}.200 type vlan proto 802.1ad id 200\n\
         link set {device}.200 up\n\
         link add link {device}.200 name {device}.200.300 type vlan id 300\n\
         addr add 10.5.0.{host}/24 dev {device}.200.300\n\
         link set {device}.200.300 up\n"
    ))
}

// Promise: K3
#[test]
#[ignore = "needs VLAN devices: cargo xtask test --kernels"]
fn backends_behind_one_vlan_and_behind_two_are_reached() -> Result<()> {
    let world = World::new()?;
    let bed = Bed::new(&world)?;
    bed.answered()
}

// Promise: K3
#[test]
#[ignore = "needs VLAN devices: cargo xtask test --kernels"]
fn a_route_that_moves_to_another_vlan_is_followed() -> Result<()> {
    let world = World::new()?;
    let bed = Bed::new(&world)?;
    for (namespace, device, host) in [(&bed.topology.edge, "eth1", 1), (&bed.host, "trunk", 2)] {
        namespace.ip(&format!(
            "link add link {device} name {device}.101 type vlan id 101\n\
             link set {device}.101 up\n\
             addr del 10.4.0.{host}/24 dev {device}.100\n\
             addr add 10.4.0.{host}/24 dev {device}.101\n"
        ))?;
    }
    bed.has_next_hops(["vlan 101", "vlan 200 vlan 300"])
}
