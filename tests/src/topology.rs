//! Client, router, edge and instances: what an anycast site looks like, in small.
//!
//! ```text
//! client -- router -- bridge `fabric` -- edge
//!                                     -- instances
//! ```
//!
//! The router sends the VIPs to the edge; instances answer the client through the router directly.

use std::cell::RefCell;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::namespace::Namespace;
use crate::process::Process;
use crate::wiring::{self, Link};
use crate::world::World;
use crate::{attach_pass, program, wait_for};

/// The bridge that edge and instances are on.
const FABRIC: &str = "fabric";

/// The port that the instances' web and echo servers listen on.
const PORT: u16 = 8000;

/// All of it, inside a world.
pub struct Topology {
    /// Where the requests come from.
    pub client: Namespace,
    /// Knows the way to everything.
    pub router: Namespace,
    /// Where `lbd edge` runs, on `eth0`.
    pub edge: Namespace,
    /// The backends, in order of their names.
    pub instances: Vec<Instance>,
}

/// A container, so to speak: a namespace with an address of its own and a small server.
pub struct Instance {
    /// Its name, which its server answers.
    pub name: String,
    /// Where it lives.
    pub namespace: Namespace,
    /// Its address in the fabric.
    pub ipv4: Ipv4Addr,
    /// Its address in the fabric.
    pub ipv6: Ipv6Addr,
    server: RefCell<Option<Rc<RefCell<Process>>>>,
}

impl Topology {
    /// The edge's addresses in the fabric.
    pub const EDGE: (Ipv4Addr, Ipv6Addr) = (fabric_v4(2), fabric_v6(2));
    /// Everything inside the fabric, as agents are told it.
    pub const FABRIC: [&'static str; 2] = ["10.1.0.0/24", "fd00:1::/64"];
    /// The port of the instances' servers.
    pub const PORT: u16 = PORT;

    /// An IPv4 address that the router sends to the edge.
    pub const fn vip_v4(host: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 51, 100, host)
    }

    /// An IPv6 address that the router sends to the edge.
    pub const fn vip_v6(host: u16) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host)
    }

    /// Builds everything; the instances' servers run.
    pub fn build(world: &World, instances: &[&str]) -> Result<Topology> {
        let router = world.add_namespace("router")?;
        router.sysctls(&[
            ("ipv4/ip_forward", "1"),
            ("ipv6/conf/all/forwarding", "1"),
            // Answers of the instances come from an address that is routed to the edge.
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv6/conf/default/accept_dad", "0"),
        ])?;
        wiring::add_bridge(
            &router,
            FABRIC,
            &[
                &format!("{}/24", fabric_v4(1)),
                &format!("{}/64", fabric_v6(1)),
            ],
        )?;
        let mut topology = Topology {
            client: add_client(world, &router)?,
            edge: add_host(world, &router, "edge", "to-edge", Topology::EDGE)?,
            router,
            instances: Vec::new(),
        };
        topology.router.ip(&format!(
            "route add 198.51.100.0/24 via {}\n\
             route add 2001:db8::/64 via {}\n",
            Topology::EDGE.0,
            Topology::EDGE.1,
        ))?;
        // What the edge's program sends reaches the router's stack only through a native program.
        attach_pass(world, &topology.router, "to-edge")?;
        for name in instances {
            topology.add_instance(world, name)?;
        }
        Ok(topology)
    }

    /// Adds one more instance; its server runs.
    pub fn add_instance(&mut self, world: &World, name: &str) -> Result<&Instance> {
        let instance = self.make_instance(world, name, self.instances.len())?;
        self.instances.push(instance);
        self.instances.last().context("just added")
    }

    fn make_instance(&self, world: &World, name: &str, index: usize) -> Result<Instance> {
        let host = u8::try_from(10 + index).context("the fabric is full")?;
        let addresses = (fabric_v4(host), fabric_v6(host.into()));
        let port = format!("to-{index}");
        let instance = Instance {
            name: name.to_owned(),
            namespace: add_host(world, &self.router, name, &port, addresses)?,
            ipv4: addresses.0,
            ipv6: addresses.1,
            server: RefCell::new(None),
        };
        instance.start(world)?;
        Ok(instance)
    }

    /// Ends an instance and its namespace, and makes another of the same name and addresses.
    pub fn replace_instance(&mut self, world: &World, name: &str) -> Result<()> {
        let index = self
            .instances
            .iter()
            .position(|instance| instance.name == name);
        let index = index.with_context(|| format!("no instance {name}"))?;
        self.instances[index].kill();
        self.instances[index].namespace.delete()?;
        // The kernel takes its links away some time after it.
        let port = format!("to-{index}");
        wait_for(
            &format!("the link {port} to go"),
            Duration::from_secs(10),
            || match self.router.run("ip", &["link", "show", "dev", &port]) {
                Ok(link) => bail!("{link}"),
                Err(_) => Ok(()),
            },
        )?;
        self.instances[index] = self.make_instance(world, name, index)?;
        Ok(())
    }

    /// A host that is connected to nothing yet.
    pub fn add_host(&self, world: &World, name: &str) -> Result<Namespace> {
        wiring::add_host(world, name)
    }

    /// A further bridge of the router's, with the router's addresses (with prefix lengths) on it.
    pub fn add_bridge(&self, name: &str, addresses: &[&str]) -> Result<()> {
        wiring::add_bridge(&self.router, name, addresses)
    }

    /// Connects a host's new `device`, with these addresses, to a bridge; the router's end is called
    /// `HOST.DEVICE`.
    pub fn connect(
        &self,
        host: &Namespace,
        device: &str,
        bridge: &str,
        addresses: &[&str],
    ) -> Result<()> {
        let port = format!("{}.{device}", host.name());
        let link = Link {
            device,
            port: &port,
            bridge,
            addresses,
        };
        wiring::connect(&self.router, host, &link)
    }

    /// Makes an instance of a host that is connected already; its server runs.
    pub fn add_instance_on(
        &mut self,
        world: &World,
        host: &Namespace,
        addresses: (Ipv4Addr, Ipv6Addr),
    ) -> Result<()> {
        let instance = Instance {
            name: host.name().to_owned(),
            namespace: host.clone(),
            ipv4: addresses.0,
            ipv6: addresses.1,
            server: RefCell::new(None),
        };
        instance.start(world)?;
        self.instances.push(instance);
        Ok(())
    }

    /// Gives every link of the fabric another MTU.
    pub fn set_fabric_mtu(&self, mtu: u32) -> Result<()> {
        let hosts = self.instances.iter().map(|instance| &instance.namespace);
        for host in hosts.chain([&self.edge]) {
            host.ip(&format!("link set eth0 mtu {mtu}\n"))?;
        }
        let ports = (0..self.instances.len()).map(|index| format!("to-{index}"));
        for port in ports.chain(["to-edge".to_owned(), FABRIC.to_owned()]) {
            self.router.ip(&format!("link set {port} mtu {mtu}\n"))?;
        }
        Ok(())
    }

    /// Takes the edge's link away and makes it anew, as a hot-plug would.
    pub fn remake_edge_link(&self, world: &World) -> Result<()> {
        self.router.ip("link del to-edge\n")?;
        connect(&self.router, &self.edge, "to-edge", Topology::EDGE)?;
        attach_pass(world, &self.router, "to-edge")
    }

    /// The instance of this name.
    pub fn instance(&self, name: &str) -> Result<&Instance> {
        self.instances
            .iter()
            .find(|instance| instance.name == name)
            .with_context(|| format!("no instance {name}"))
    }
}

impl Instance {
    /// Starts its server and waits until it listens.
    pub fn start(&self, world: &World) -> Result<()> {
        let port = PORT.to_string();
        let server = world.start(
            &self.name,
            &self.namespace,
            program("instance")?,
            &["--name", &self.name, "--port", &port],
        )?;
        let own = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT);
        let said = wait_for(
            &format!("the server of {}", self.name),
            Duration::from_secs(10),
            || self.namespace.curl(&format!("http://{own}/")),
        )?;
        ensure!(said == self.name, "{own} in {} is {said}", self.name);
        *self.server.borrow_mut() = Some(server);
        Ok(())
    }

    /// Kills its server; its addresses stay.
    pub fn kill(&self) {
        if let Some(server) = self.server.borrow_mut().take() {
            server.borrow_mut().kill();
        }
    }
}

const fn fabric_v4(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 0, host)
}

const fn fabric_v6(host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, host)
}

fn add_client(world: &World, router: &Namespace) -> Result<Namespace> {
    let client = world.add_namespace("client")?;
    client.sysctls(&[
        ("ipv6/conf/default/accept_dad", "0"),
        // Minutes of new connections to one address: every port, again after a second.
        ("ipv4/ip_local_port_range", "1024 65535"),
        ("ipv4/tcp_tw_reuse", "1"),
    ])?;
    router.ip("link add to-client type veth peer name eth0 netns client\n\
         addr add 192.0.2.1/24 dev to-client\n\
         addr add fd00:2::1/64 dev to-client nodad\n\
         link set to-client up\n")?;
    client.ip("addr add 192.0.2.2/24 dev eth0\n\
         addr add fd00:2::2/64 dev eth0 nodad\n\
         link set eth0 up\n\
         route add default via 192.0.2.1\n\
         route add default via fd00:2::1\n")?;
    Ok(client)
}

/// A host on the fabric, its `eth0` the other end of the router's `port`.
fn add_host(
    world: &World,
    router: &Namespace,
    name: &str,
    port: &str,
    addresses: (Ipv4Addr, Ipv6Addr),
) -> Result<Namespace> {
    let host = wiring::add_host(world, name)?;
    connect(router, &host, port, addresses)?;
    Ok(host)
}

/// The link between the fabric and a host, with the host's addresses and its way out.
fn connect(
    router: &Namespace,
    host: &Namespace,
    port: &str,
    (ipv4, ipv6): (Ipv4Addr, Ipv6Addr),
) -> Result<()> {
    let addresses = [format!("{ipv4}/24"), format!("{ipv6}/64")];
    let link = Link {
        device: "eth0",
        port,
        bridge: FABRIC,
        addresses: &[&addresses[0], &addresses[1]],
    };
    wiring::connect(router, host, &link)?;
    host.ip(&format!(
        "route add default via {}\n\
         route add default via {}\n",
        fabric_v4(1),
        fabric_v6(1),
    ))
}
