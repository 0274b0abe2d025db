//! Two cities with a backbone between their routers: what an anycast fleet looks like, in small.
//!
//! ```text
//! client -- router == backbone == router -- client
//!              |                     |
//!        bridge `fabric`       bridge `fabric`
//!          |       |             |       |
//!        edge    host          edge    host
//!                  |                     |
//!              instances             instances
//! ```
//!
//! A client's requests reach the edge that its router knows the VIP from; instances, on a bridge of
//! their host's, answer through their own router directly.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};

use crate::attach_pass;
use crate::namespace::Namespace;
use crate::wiring::{self, Link};
use crate::world::World;

/// The bridge that edge and host are on.
const FABRIC: &str = "fabric";

/// The router's port to the edge.
const TO_EDGE: &str = "to-edge";

/// One city: what is in it, and where.
#[derive(Clone, Debug)]
pub struct City {
    /// Its code, in capitals.
    pub code: &'static str,
    /// Where requests come from.
    pub client: Namespace,
    /// Knows the way to everything, and learns the VIPs.
    pub router: Namespace,
    /// Where `lbd edge` and its speaker run, on `eth0`.
    pub edge: Namespace,
    /// Where the instances are: its engine, `lbd agent` and `lbd site`.
    pub host: Namespace,
    number: u8,
}

impl City {
    fn build(world: &World, code: &'static str, number: u8) -> Result<City> {
        let name = |role: &str| format!("{role}-{}", code.to_lowercase());
        let router = world.add_namespace(&name("router"))?;
        router.sysctls(&[
            ("ipv4/ip_forward", "1"),
            ("ipv6/conf/all/forwarding", "1"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv6/conf/default/accept_dad", "0"),
            // Equal ways are chosen by ports too.
            ("ipv4/fib_multipath_hash_policy", "1"),
            ("ipv6/fib_multipath_hash_policy", "1"),
        ])?;
        let city = City {
            code,
            client: world.add_namespace(&name("client"))?,
            edge: wiring::add_host(world, &name("edge"))?,
            host: wiring::add_host(world, &name("host"))?,
            router,
            number,
        };
        city.connect_client()?;
        let (v4, v6) = city.fabric(1);
        let (v4, v6) = (format!("{v4}/24"), format!("{v6}/64"));
        wiring::add_bridge(&city.router, FABRIC, &[&v4, &v6])?;
        city.connect(&city.edge, TO_EDGE, city.edge_addresses())?;
        city.connect(&city.host, "to-host", city.host_addresses())?;
        // What the edge's program sends reaches the router's stack only through a native program.
        attach_pass(world, &city.router, TO_EDGE)?;
        city.host
            .sysctls(&[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")])?;
        let ((host_v4, host_v6), (instances_v4, instances_v6)) =
            (city.host_addresses(), city.instance_subnets());
        for namespace in [&city.router, &city.edge] {
            namespace.ip(&format!(
                "route add {instances_v4} via {host_v4}\nroute add {instances_v6} via {host_v6}\n"
            ))?;
        }
        Ok(city)
    }

    /// The addresses of a host of the fabric.
    fn fabric(&self, host: u8) -> (Ipv4Addr, Ipv6Addr) {
        let city = u16::from(self.number);
        (
            Ipv4Addr::new(10, self.number, 0, host),
            Ipv6Addr::new(0xfd00, city, 0, 0, 0, 0, 0, host.into()),
        )
    }

    /// The router's addresses in the fabric: the edge's BGP neighbour.
    pub fn router_addresses(&self) -> (Ipv4Addr, Ipv6Addr) {
        self.fabric(1)
    }

    /// The edge's addresses in the fabric.
    pub fn edge_addresses(&self) -> (Ipv4Addr, Ipv6Addr) {
        self.fabric(2)
    }

    /// The host's addresses in the fabric.
    pub fn host_addresses(&self) -> (Ipv4Addr, Ipv6Addr) {
        self.fabric(3)
    }

    /// The subnets that the instances' addresses come from; the router and the edge reach them
    /// through the host.
    pub fn instance_subnets(&self) -> (String, String) {
        let number = self.number;
        (
            format!("10.{number}.8.0/24"),
            format!("fd00:{number}:8::/64"),
        )
    }

    /// This router's address on the backbone.
    pub fn backbone_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 254, 0, self.number)
    }

    /// Its autonomous system: the routers of both cities are one network.
    pub const ROUTERS_AS: u32 = 65_000;

    /// The edge's autonomous system.
    pub fn edge_as(&self) -> u32 {
        65_010 + u32::from(self.number)
    }

    /// Cuts the edge off without a word: its link stays up and leads nowhere.
    pub fn cut_edge_off(&self) -> Result<()> {
        self.router.ip(&format!("link set {TO_EDGE} nomaster\n"))
    }

    /// Connects the edge again.
    pub fn reconnect_edge(&self) -> Result<()> {
        self.router
            .ip(&format!("link set {TO_EDGE} master {FABRIC}\n"))
    }

    fn connect_client(&self) -> Result<()> {
        self.client.sysctls(&[
            ("ipv6/conf/default/accept_dad", "0"),
            // Minutes of new connections to one address: every port, again after a second.
            ("ipv4/ip_local_port_range", "1024 65535"),
            ("ipv4/tcp_tw_reuse", "1"),
        ])?;
        let (number, client) = (self.number, self.client.name());
        self.router.ip(&format!(
            "link add to-client type veth peer name eth0 netns {client}\n\
             addr add 192.0.2.{}/28 dev to-client\n\
             addr add fd00:f:{number}::1/64 dev to-client nodad\n\
             link set to-client up\n",
            number * 16 + 1
        ))?;
        self.client.ip(&format!(
            "addr add 192.0.2.{}/28 dev eth0\n\
             addr add fd00:f:{number}::2/64 dev eth0 nodad\n\
             link set eth0 up\n\
             route add default via 192.0.2.{}\n\
             route add default via fd00:f:{number}::1\n",
            number * 16 + 2,
            number * 16 + 1
        ))
    }

    fn connect(
        &self,
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
        wiring::connect(&self.router, host, &link)?;
        let (v4, v6) = self.router_addresses();
        host.ip(&format!(
            "route add default via {v4}\nroute add default via {v6}\n"
        ))
    }
}

/// Two cities and their backbone.
#[derive(Clone, Debug)]
pub struct Cities {
    /// Seattle.
    pub sea: City,
    /// Dallas.
    pub dfw: City,
}

impl Cities {
    /// The prefix that VIPs come from.
    pub const VIPS: (&'static str, &'static str) = ("198.51.100.0/28", "2001:db8:100::/124");

    /// Builds both, and the backbone between them. Nobody has announced anything yet.
    pub fn build(world: &World) -> Result<Cities> {
        let cities = Cities {
            sea: City::build(world, "SEA", 1)?,
            dfw: City::build(world, "DFW", 2)?,
        };
        let (sea, dfw) = (&cities.sea, &cities.dfw);
        sea.router.ip(&format!(
            "link add backbone type veth peer name backbone netns {}\n",
            dfw.router.name()
        ))?;
        for (here, there) in [(sea, dfw), (dfw, sea)] {
            let (number, other) = (here.number, there.number);
            let far = there.backbone_address();
            here.router.ip(&format!(
                "addr add {}/24 dev backbone\n\
                 addr add fd00:fe::{number}/64 dev backbone nodad\n\
                 link set backbone up\n\
                 route add 10.{other}.0.0/16 via {far}\n\
                 route add 192.0.2.{}/28 via {far}\n\
                 route add fd00:{other}::/32 via fd00:fe::{other}\n\
                 route add fd00:f:{other}::/64 via fd00:fe::{other}\n",
                here.backbone_address(),
                other * 16
            ))?;
        }
        Ok(cities)
    }

    /// The city of this code.
    pub fn city(&self, code: &str) -> Result<&City> {
        [&self.sea, &self.dfw]
            .into_iter()
            .find(|city| city.code == code)
            .with_context(|| format!("no city {code}"))
    }
}
