//! Edges announce VIPs to a real router, by GoBGP and by BIRD.

mod outliving;
mod routes;
mod withdrawal;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testbed::bgp::{Bird, BirdConfig, Gobgp, Neighbour, wait_for_next_hops};
use testbed::{
    Agent, Edge, EdgeOptions, Load, Namespace, Protocol, Topology, Workload, World, attach_pass,
    wait_for,
};

const NAMES: [&str; 2] = ["one", "two"];

/// The router's autonomous system; edges are 65011 and 65012.
const ROUTER_AS: u32 = 65_000;

/// How long anything may take; what is promised is asked for by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// From a decision to the router's route, on a busy machine.
const PROMPT: Duration = Duration::from_secs(2);

/// The same on both edges: either finds the backend of a connection that began at the other.
const HASH_KEY: &str = "0123456789abcdef";

/// How an edge's VIPs are announced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Gobgp,
    Bird,
}

/// The speaker of an edge.
enum Speaker {
    Gobgp(Gobgp),
    /// It goes with its world.
    Bird,
}

/// An edge with its speaker.
struct Announcing {
    namespace: Namespace,
    edge: Edge,
    speaker: Speaker,
    session: Neighbour,
}

/// Client, router with BIRD, instances, and edges that announce a VIP of each family.
struct Scene<'w> {
    world: &'w World,
    topology: Topology,
    _agent: Agent,
    bird: Bird,
    config: BirdConfig,
    edges: Vec<Announcing>,
}

/// The services' VIPs.
fn vips() -> [IpAddr; 2] {
    [Topology::vip_v4(10).into(), Topology::vip_v6(0x10).into()]
}

fn workload(vip: IpAddr) -> Workload {
    Workload {
        name: if vip.is_ipv4() { "web" } else { "web6" }.to_owned(),
        ..Workload::new(vip, Protocol::Tcp)
    }
}

impl<'w> Scene<'w> {
    /// One edge for each of `speakers`, with further lines for their sections [announce].
    fn start(world: &'w World, speakers: &[By], settings: &str) -> Result<Scene<'w>> {
        Scene::start_with(world, speakers, settings, false)
    }

    /// The same, with BFD between the router and a BIRD beside each speaker.
    fn start_with(
        world: &'w World,
        speakers: &[By],
        settings: &str,
        bfd: bool,
    ) -> Result<Scene<'w>> {
        let topology = Topology::build(world, &NAMES)?;
        // The router is to learn the VIPs, not to know them.
        topology
            .router
            .ip("route del 198.51.100.0/24\nroute del 2001:db8::/64\n")?;
        topology.router.sysctls(&[
            ("ipv4/fib_multipath_hash_policy", "1"),
            ("ipv6/fib_multipath_hash_policy", "1"),
        ])?;
        let agent = Agent::start(world, &topology, &vips())?;
        let hosts: Vec<Namespace> = (0..speakers.len())
            .map(|number| host(world, &topology, number))
            .collect::<Result<_>>()?;
        let sessions: Vec<Neighbour> = (0..speakers.len())
            .map(|number| Neighbour {
                bfd,
                ..session(number)
            })
            .collect();
        let mut config = BirdConfig::new([10, 1, 0, 1].into(), ROUTER_AS).kernel();
        for (host, session) in hosts.iter().zip(&sessions) {
            config = config.learns_from(session);
            if bfd {
                answer_bfd(world, host, session)?;
            }
        }
        if bfd {
            config = config.bfd(&[]);
        }
        let bird = Bird::start(world, "router-bird", &topology.router, &config)?;
        let mut scene = Scene {
            world,
            topology,
            _agent: agent,
            bird,
            config,
            edges: Vec::new(),
        };
        for (number, namespace) in hosts.into_iter().enumerate() {
            let edge = scene.announcing(number, namespace, speakers[number], settings)?;
            scene.edges.push(edge);
        }
        scene.wait_for_routes(&(0..speakers.len()).collect::<Vec<_>>(), Instant::now())?;
        Ok(scene)
    }

    fn announcing(
        &self,
        number: usize,
        namespace: Namespace,
        by: By,
        settings: &str,
    ) -> Result<Announcing> {
        let session = session(number);
        let router = Neighbour {
            name: "upstream".to_owned(),
            address: [10, 1, 0, 1].into(),
            autonomous_system: ROUTER_AS,
            bfd: false,
        };
        let (world, name) = (self.world, format!("speaker{number}"));
        let IpAddr::V4(id) = session.address else {
            unreachable!("sessions are over IPv4")
        };
        let (own_as, speaker) = (session.autonomous_system, by);
        let (speaker, kind) = match speaker {
            By::Gobgp => (
                Speaker::Gobgp(Gobgp::start(
                    world,
                    &name,
                    &namespace,
                    id,
                    own_as,
                    &[router],
                )?),
                "gobgp",
            ),
            By::Bird => {
                let config = BirdConfig::new(id, own_as)
                    .addresses_of("lo")
                    .announces_to(&router, ("198.51.100.0/24", "2001:db8::/64"));
                Bird::start(world, &name, &namespace, &config)?;
                (Speaker::Bird, "local")
            }
        };
        self.bird.wait_for_session(&session)?;
        let instances = &self.topology.instances;
        let options = EdgeOptions {
            settings: format!(
                "hash_key = \"{HASH_KEY}\"\n[announce]\nspeaker = \"{kind}\"\n{settings}\n"
            ),
            services: vips()
                .map(|vip| workload(vip).declaration(instances))
                .concat(),
        };
        let edge = Edge::start(world, &format!("edge{number}"), &namespace, &options)?;
        Ok(Announcing {
            namespace,
            edge,
            speaker,
            session,
        })
    }

    fn router(&self) -> &Namespace {
        &self.topology.router
    }

    /// Waits until both VIPs are routed to exactly these edges; how long that took since `since`.
    fn wait_for_routes(&self, edges: &[usize], since: Instant) -> Result<Duration> {
        let mut took = Duration::ZERO;
        for vip in vips() {
            took = took.max(self.wait_for_route(vip, edges, since)?);
        }
        Ok(took)
    }

    fn wait_for_route(&self, vip: IpAddr, edges: &[usize], since: Instant) -> Result<Duration> {
        let hop = |&number: &usize| match (addresses(number), vip) {
            ((ipv4, _), IpAddr::V4(_)) => ipv4,
            ((_, ipv6), IpAddr::V6(_)) => ipv6,
        };
        let hops: Vec<IpAddr> = edges.iter().map(hop).collect();
        wait_for_next_hops(self.router(), vip, &hops, since, PATIENCE)
    }

    /// What the router has been told over an edge's session: updates and withdrawals, of both families.
    fn told(&self, edge: usize) -> Result<Vec<String>> {
        let name = &self.edges[edge].session.name;
        let said = self.bird.ask(&format!("show protocols all {name}"))?;
        let lines = said.lines().map(str::trim);
        let told: Vec<String> = lines
            .filter(|line| {
                line.starts_with("Import updates") || line.starts_with("Import withdraws")
            })
            .map(str::to_owned)
            .collect();
        ensure!(told.len() == 4, "no counters in\n{said}");
        Ok(told)
    }

    /// Requests to a VIP, 500 a second, until stopped.
    fn load(&self, vip: IpAddr) -> Result<testbed::Running> {
        let Workload {
            target, protocol, ..
        } = workload(vip);
        Load::start(&self.topology.client, target, protocol, 500)
    }

    /// Sends so many requests to each VIP, none of which may fail.
    fn answered(&self, count: usize) -> Result<()> {
        for vip in vips() {
            let target = workload(vip).target;
            let load = Load::send(&self.topology.client, target, Protocol::Tcp, 500, count)?;
            none_failed(&load).with_context(|| format!("to {vip}"))?;
        }
        Ok(())
    }

    /// Waits until an edge says that both of its VIPs are announced, or not.
    fn wait_for_status(&self, edge: usize, announced: bool) -> Result<()> {
        wait_for("the edge to say so", PATIENCE, || {
            let status = self.edges[edge].edge.status()?;
            let announce = status.announce.context("it announces nothing at all")?;
            let says = announce.vips.iter().all(|vip| vip.announced == announced);
            ensure!(announce.vips.len() == 2 && says, "{announce:?}");
            Ok(())
        })
    }
}

fn none_failed(load: &Load) -> Result<()> {
    ensure!(
        load.failed() == 0,
        "{} of {} failed: {:?}",
        load.failed(),
        load.sent(),
        load.failures()
    );
    Ok(())
}

fn addresses(edge: usize) -> (IpAddr, IpAddr) {
    // The topology's own edge is 2; instances begin at 10.
    let host = u8::try_from(2 + edge).expect("few edges");
    (
        [10, 1, 0, host].into(),
        [0xfd00, 1, 0, 0, 0, 0, 0, u16::from(host)].into(),
    )
}

fn session(edge: usize) -> Neighbour {
    Neighbour {
        name: format!("edge{edge}"),
        address: addresses(edge).0,
        autonomous_system: 65_011 + u32::try_from(edge).expect("few edges"),
        bfd: false,
    }
}

/// A BIRD that does nothing but BFD with the router: GoBGP has none.
fn answer_bfd(world: &World, host: &Namespace, session: &Neighbour) -> Result<()> {
    let IpAddr::V4(id) = session.address else {
        unreachable!("sessions are over IPv4")
    };
    let config = BirdConfig::new(id, session.autonomous_system).bfd(&[[10, 1, 0, 1].into()]);
    let name = format!("{}-bfd", session.name);
    Bird::start(world, &name, host, &config).map(drop)
}

/// The topology's edge, or a further one beside it.
fn host(world: &World, topology: &Topology, number: usize) -> Result<Namespace> {
    if number == 0 {
        return Ok(topology.edge.clone());
    }
    let name = format!("edge{number}");
    let host = topology.add_host(world, &name)?;
    let (ipv4, ipv6) = addresses(number);
    let (ipv4, ipv6) = (format!("{ipv4}/24"), format!("{ipv6}/64"));
    topology.connect(&host, "eth0", "fabric", &[&ipv4, &ipv6])?;
    host.ip("route add default via 10.1.0.1\nroute add default via fd00:1::1\n")?;
    attach_pass(world, &topology.router, &format!("{name}.eth0"))?;
    Ok(host)
}
