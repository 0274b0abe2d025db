//! An edge alone: its interfaces lead to nobody, so that it counts only what it is given.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use aya::programs::ProgramInfo;
use balancer_core::reconcile::{NextHop, NextHops};
use ipnet::IpNet;
use testbed::{Edge, EdgeOptions, Namespace, World, assert_native_xdp};

use crate::counts::Counts;
use crate::edge_model::EdgeModel;
use crate::oracle::{self, Ways};
use crate::row::Row;
use crate::run::{self, Arrival, FirstBuffer, Ran, Watch};
use crate::tally::Tally;

/// A service: name, VIP, encapsulation, backends. Each is there for TCP (`NAME-tcp`) and UDP (`NAME-udp`), and hashes by
/// source if its name begins with [`BY_SOURCE`].
pub(crate) type Service = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

/// One service a kind of outer header and of inner packet, of one backend each.
pub(crate) const ENCAPSULATIONS: &[Service] = &[
    ("gue44", "198.51.100.1", "gue", &["10.1.0.11"]),
    ("gue46", "198.51.100.2", "gue", &["fd00:1::12"]),
    ("gue64", "2001:db8::3", "gue", &["10.1.0.13"]),
    ("gue66", "2001:db8::4", "gue", &["fd00:1::14"]),
    ("ipip", "198.51.100.5", "ipip", &["10.1.0.15"]),
    ("ip6ip6", "2001:db8::6", "ip6ip6", &["fd00:1::16"]),
    ("ip4in6", "198.51.100.7", "ip4in6", &["fd00:1::17"]),
    // Behind the other interface, and behind a gateway.
    ("elsewhere", "198.51.100.8", "gue", &["10.2.0.18"]),
    ("routed", "198.51.100.9", "gue", &["10.3.0.19"]),
    // The words of an outer header to it may sum up to 1ffff.
    ("carry", "198.51.100.12", "gue", &["172.31.132.127"]),
];

/// Prefixes of outer sources, IPv4 and IPv6.
pub(crate) type Prefixes = [&'static str; 2];

/// What the interfaces take when a test says nothing else, bytes.
const MTU: u32 = 1_600;

/// How the names of services begin that hash by source.
const BY_SOURCE: &str = "source";

/// Where the edge pins its maps and its program, below the world's bpffs.
const PINS: &str = "edge/v2";
/// The program.
const PROGRAM: &str = "balance";

/// The key of the flow hash, so that every byte of an outer header is known.
pub(crate) const HASH_KEY: &str = "0123456789abcdef";

/// The MAC of the next hop towards everybody behind `eth0`, and of the gateway.
pub(crate) const FABRIC: &str = "02:00:00:00:01:01";
/// The MAC of the gateway to 10.3.0.0/24.
pub(crate) const GATEWAY: &str = "02:00:00:00:01:02";
/// The MAC of the next hop behind `eth1`.
pub(crate) const OTHER: &str = "02:00:00:00:02:01";

/// An edge that runs, and what stands around it.
pub(crate) struct Site {
    pub(crate) edge: Edge,
    pub(crate) namespace: Namespace,
    /// The index of the edge's `eth0`.
    pub(crate) ingress: u32,
    services: Vec<Service>,
    /// Backends that have joined them.
    pub(crate) joined: Vec<&'static str>,
    /// The same tables in user space; none once the services have been changed.
    pub(crate) model: Option<EdgeModel>,
    /// Where packets may go, as far as an independent parser can tell.
    pub(crate) ways: Ways,
    first: Option<FirstBuffer>,
    mtu: u32,
    sources: Option<Prefixes>,
    wire: Namespace,
    world: World,
}

impl Site {
    pub(crate) fn new(services: &[Service]) -> Result<Site> {
        Site::build(services, MTU, None)
    }

    /// The same, with interfaces that take IP packets of so many bytes.
    pub(crate) fn with_mtu(services: &[Service], mtu: u32) -> Result<Site> {
        Site::build(services, mtu, None)
    }

    /// The same, with outer sources within these prefixes, IPv4 and IPv6.
    pub(crate) fn within(services: &[Service], prefixes: Prefixes) -> Result<Site> {
        Site::build(services, MTU, Some(prefixes))
    }

    fn build(services: &[Service], mtu: u32, sources: Option<Prefixes>) -> Result<Site> {
        let world = World::new()?;
        let wire = world.add_namespace("wire")?;
        let namespace = world.add_namespace("edge")?;
        // Whoever has no address says nothing.
        wire.sysctls(&[("ipv6/conf/default/disable_ipv6", "1")])?;
        namespace.sysctls(&[("ipv6/conf/default/accept_dad", "0")])?;
        wire.ip(&format!(
            "link add w0 mtu {mtu} type veth peer name eth0 mtu {mtu} netns edge\n\
             link add w1 mtu {mtu} type veth peer name eth1 mtu {mtu} netns edge\n\
             link set w0 up\n\
             link set w1 up\n"
        ))?;
        namespace.ip("link set eth0 address 02:00:00:00:00:02\n\
             link set eth1 address 02:00:00:00:00:03\n\
             addr add 10.1.0.2/24 dev eth0\n\
             addr add fd00:1::2/64 dev eth0 nodad\n\
             addr add 10.2.0.2/24 dev eth1\n\
             link set eth0 up\n\
             link set eth1 up\n\
             route add 10.3.0.0/24 via 10.1.0.1\n\
             route add 172.16.0.0/12 via 10.1.0.1\n")?;
        namespace.ip(&neighbours(backends(services)))?;
        let mut settings = format!("hash_key = \"{HASH_KEY}\"\n");
        if let Some([ipv4, ipv6]) = sources {
            settings += &format!("source_ipv4 = \"{ipv4}\"\nsource_ipv6 = \"{ipv6}\"\n");
        }
        let options = EdgeOptions {
            settings,
            services: services.iter().map(toml).collect(),
        };
        let edge = Edge::start(&world, "edge", &namespace, &options)?;
        let attached = assert_native_xdp(&namespace, "eth0")?;
        let pinned = ProgramInfo::from_pin(world.bpffs().join(PINS).join(PROGRAM))?.id();
        ensure!(attached == u64::from(pinned), "{pinned} is not what runs");
        let ingress = index(&namespace, "eth0")?;
        let mut site = Site {
            edge,
            namespace,
            ingress,
            services: services.to_vec(),
            joined: Vec::new(),
            model: None,
            ways: Ways::default(),
            first: None,
            mtu,
            sources,
            wire,
            world,
        };
        let config = fs::read_to_string(site.edge.config())?;
        let next_hops = site.next_hops()?;
        site.model = Some(EdgeModel::new(&config, ingress, &next_hops)?);
        site.ways = Ways::new(services, ingress, &next_hops)?;
        Ok(site)
    }

    /// From now on frames come in with first buffers that end here.
    pub(crate) fn split(&mut self, first: FirstBuffer) {
        self.first = Some(first);
        if let Some(model) = &mut self.model {
            model.first = Some(first);
        }
    }

    /// Runs `lbctl`; from now on the tables in user space model the edge no more.
    pub(crate) fn change(&mut self, arguments: &[&str]) -> Result<()> {
        self.model = None;
        self.edge.lbctl_ok(arguments)?;
        Ok(())
    }

    /// Starts the daemon again, after it was killed.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        self.edge.start_again(&self.world)
    }

    /// The same tables in user space.
    pub(crate) fn model(&self) -> &EdgeModel {
        self.model.as_ref().expect("nothing was changed")
    }

    /// Where the other ends of the edge's interfaces are, `w0` and `w1`.
    pub(crate) fn wire(&self) -> (&World, &Namespace) {
        (&self.world, &self.wire)
    }

    /// What `lbd` should find out about the ways to the backends.
    pub(crate) fn next_hops(&self) -> Result<NextHops> {
        let eth1 = index(&self.namespace, "eth1")?;
        let hop = |interface, source_mac, host, source: &str| {
            let source: IpAddr = source.parse()?;
            let chosen = self.sources.map(|[ipv4, ipv6]| match source {
                IpAddr::V4(_) => ipv4.parse(),
                IpAddr::V6(_) => ipv6.parse(),
            });
            let source = chosen.unwrap_or(Ok(IpNet::from(source)))?;
            Ok(NextHop {
                interface,
                source_mac,
                destination_mac: host,
                source: source.addr(),
                source_bits: source.max_prefix_len() - source.prefix_len(),
                mtu: self.mtu,
                tags: [None; 2],
            })
        };
        let mut hops = NextHops::default();
        for backend in backends(&self.services).chain(self.joined.iter().copied()) {
            let by_eth0 = |host, source| hop(self.ingress, [2, 0, 0, 0, 0, 2], host, source);
            let found = match backend {
                v4 if v4.starts_with("10.1.") => by_eth0([2, 0, 0, 0, 1, 1], "10.1.0.2"),
                v6 if v6.starts_with("fd00:1:") => by_eth0([2, 0, 0, 0, 1, 1], "fd00:1::2"),
                routed if routed.starts_with("10.3.") || routed.starts_with("172.") => {
                    by_eth0([2, 0, 0, 0, 1, 2], "10.1.0.2")
                }
                other if other.starts_with("10.2.") => {
                    hop(eth1, [2, 0, 0, 0, 0, 3], [2, 0, 0, 0, 2, 1], "10.2.0.2")
                }
                _ => continue,
            };
            let found: Result<NextHop> = found;
            hops.insert(backend.parse()?, found?);
        }
        Ok(hops)
    }

    /// Runs `balance` on frames that come in by `eth0`.
    pub(crate) fn run(&self, frames: &[Vec<u8>]) -> Result<Vec<Ran>> {
        self.run_behind(0, frames)
    }

    /// Runs `balance` on frames that come in with so many bytes of metadata in front.
    pub(crate) fn run_behind(&self, metadata: usize, frames: &[Vec<u8>]) -> Result<Vec<Ran>> {
        let arrival = Arrival {
            ingress: self.ingress,
            metadata,
            first: self.first,
        };
        run::xdp(&self.namespace, &self.pin(PROGRAM), arrival, frames)
    }

    /// The same, one frame after another under somebody's eyes.
    pub(crate) fn run_watched(&self, frames: &[Vec<u8>], watch: Watch<'_>) -> Result<()> {
        let arrival = Arrival {
            ingress: self.ingress,
            metadata: 0,
            first: self.first,
        };
        run::xdp_watched(&self.namespace, &self.pin(PROGRAM), arrival, frames, watch)
    }

    /// What it counts for single frames.
    pub(crate) fn tally(&self) -> Result<Tally> {
        Tally::open(&self.world.bpffs().join(PINS), self.model().ids())
    }

    /// Runs `balance` on frames that come in by another interface.
    pub(crate) fn run_from(&self, ingress: u32, frames: &[Vec<u8>]) -> Result<Vec<Ran>> {
        let arrival = Arrival {
            ingress,
            metadata: 0,
            first: self.first,
        };
        run::xdp(&self.namespace, &self.pin(PROGRAM), arrival, frames)
    }

    /// The number of one of its interfaces.
    pub(crate) fn index(&self, device: &str) -> Result<u32> {
        index(&self.namespace, device)
    }

    /// Where it pins something.
    pub(crate) fn pin(&self, name: &str) -> PathBuf {
        self.world.bpffs().join(PINS).join(name)
    }

    pub(crate) fn counts(&self) -> Result<Counts> {
        Counts::of_edge(&self.edge)
    }
}

impl crate::row::Bench for Site {
    fn run(&self, frames: &[Vec<u8>]) -> Result<Vec<Ran>> {
        Site::run(self, frames)
    }

    fn counts(&self) -> Result<Counts> {
        Site::counts(self)
    }

    /// The oracle's judgement; and user space must make the same of the frame.
    fn judge(&self, frame: &[u8], ran: &Ran) -> Result<(), String> {
        if let Some(model) = &self.model
            && model.decide(frame).ran != *ran
        {
            return Err("user space makes something else of it".to_owned());
        }
        oracle::judge(frame, ran)?;
        match self.model {
            Some(_) => self.ways.judge(frame, ran),
            None => Ok(()),
        }
    }
}

/// The backend of a service with only one: what is counted for a packet of so many bytes.
pub(crate) fn to(name: &str, protocol: &str, bytes: usize) -> Counts {
    let (_, _, _, backends) = service(name);
    Counts::backend(&format!("{name}-{protocol}"), backends[0], bytes)
}

/// A row of a packet that is sent.
pub(crate) fn sent(name: &str, service: &str, protocol: &str, frame: Vec<u8>) -> Row {
    let bytes = oracle::ip_packet(&frame).map_or(0, <[u8]>::len);
    Row::sent(name, frame, to(service, protocol, bytes))
}

/// The service of this name.
pub(crate) fn service(name: &str) -> Service {
    *ENCAPSULATIONS
        .iter()
        .find(|service| service.0 == name)
        .unwrap_or_else(|| panic!("no service {name}"))
}

/// The VIP of the service of this name.
pub(crate) fn vip(name: &str) -> &'static str {
    service(name).1
}

fn backends(services: &[Service]) -> impl Iterator<Item = &'static str> {
    services
        .iter()
        .flat_map(|service| service.3.iter().copied())
}

/// Commands after which these backends' next hops are known.
pub(crate) fn neighbours(backends: impl Iterator<Item = &'static str>) -> String {
    let mut lines = format!("neigh replace 10.1.0.1 lladdr {GATEWAY} dev eth0 nud permanent\n");
    for backend in backends {
        let (mac, device) = match backend {
            on_link if on_link.starts_with("10.1.") || on_link.starts_with("fd00:1:") => {
                (FABRIC, "eth0")
            }
            other if other.starts_with("10.2.") => (OTHER, "eth1"),
            _ => continue,
        };
        lines.push_str(&format!(
            "neigh replace {backend} lladdr {mac} dev {device} nud permanent\n"
        ));
    }
    lines
}

fn toml((name, vip, encapsulation, backends): &Service) -> String {
    let mut text = String::new();
    let hash = if name.starts_with(BY_SOURCE) {
        "source"
    } else {
        "flow"
    };
    for protocol in ["tcp", "udp"] {
        text.push_str(&format!(
            "[[service]]\nname = \"{name}-{protocol}\"\nvip = \"{vip}\"\nport = 8000\n\
             protocol = \"{protocol}\"\nencapsulation = \"{encapsulation}\"\nhash = \"{hash}\"\n"
        ));
        for backend in *backends {
            text.push_str(&format!(
                "[[service.backend]]\naddress = \"{backend}\"\nweight = 1\n"
            ));
        }
    }
    text
}

fn index(namespace: &Namespace, device: &str) -> Result<u32> {
    namespace.enter(|| nix::net::if_::if_nametoindex(device).context("no such interface"))?
}
