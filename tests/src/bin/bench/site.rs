//! Where the programs run that are measured: the real `lbd`, in network namespaces that lead to nobody.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, Map, MapData};
use balancer_common::abi::{self, outer};
use balancer_config::EdgeConfig;
use balancer_core::model::{AdminState, Backend, ServiceName, Weight};
use balancer_core::state::Change;
use testbed::{Agent, Edge, EdgeOptions, Namespace, World, wait_for};

use crate::cases::{Case, Place};
use crate::frame;
use crate::loaded::Loaded;
use crate::many;
use crate::reference::{EdgeTables, Reference, Serving, Way};

/// The other end of the interface that the program is on.
pub(crate) const WIRE: &str = "w0";
/// An interface without a program, and its other end.
pub(crate) const FLOOR: &str = "eth1";
pub(crate) const FLOOR_WIRE: &str = "w1";

const PATIENCE: Duration = Duration::from_secs(30);
const MTU: u32 = 1_600;

/// The service whose backend is replaced, its first backend and those after it.
const REPLACED: &str = "v4-tcp-alternates";
const BACKENDS: [&str; 4] = ["10.16.1.1", "10.16.1.2", "10.16.1.3", "10.16.1.4"];

const EDGE: [u8; 4] = [10, 1, 0, 2];
const INSTANCE: [u8; 4] = [10, 1, 0, 11];
const VIP: [u8; 4] = [198, 18, 0, 1];
const PORT: u16 = 80;
/// From an edge, three alternates, none visited yet; then the three.
const PRIVATE: [u8; 16] = [1, 3, 0, 0, 10, 1, 0, 21, 10, 1, 0, 22, 10, 1, 0, 23];

/// A program that `lbd` has loaded, and what has to become of frames that it is given.
pub(crate) struct Site {
    pub(crate) namespace: Namespace,
    /// Where the other ends are of its interfaces: [`WIRE`] of the program's, [`FLOOR_WIRE`] of [`FLOOR`].
    pub(crate) wire: Namespace,
    /// Where `lbd` pinned the program and its maps.
    pub(crate) pins: PathBuf,
    pub(crate) program: &'static str,
    /// The index of the interface that frames come in by.
    pub(crate) ingress: u32,
    pub(crate) reference: Reference,
    pub(crate) loaded: Loaded,
    /// An established connection, at the agent.
    connection: Option<(TcpListener, TcpStream, TcpStream)>,
}

impl Site {
    /// Starts it, and stops the daemon again: the program goes on without it, and the machine is quieter.
    pub(crate) fn start(world: &World, place: Place, directory: &Path) -> Result<Site> {
        match place {
            Place::Edge => Site::edge(
                world,
                "edge",
                read(&directory.join("edge.toml"))?,
                &BACKENDS,
            ),
            Place::Many => Site::edge(world, "many", many::configuration(), &[]),
            Place::Agent => Site::agent(world, &directory.join("agent.toml")),
        }
    }

    fn edge(world: &World, name: &str, services: String, replaced: &[&str]) -> Result<Site> {
        let (namespace, wire) = host(world, name, EDGE)?;
        let ingress = index(&namespace, "eth0")?;
        let options = EdgeOptions {
            settings: String::new(),
            services,
        };
        let edge = Edge::start(world, name, &namespace, &options)?;
        let config = EdgeConfig::parse(&fs::read_to_string(edge.config())?, "edge.toml")?;
        let pins = edge.pins(world).join(format!("v{}", abi::VERSION));
        let mut changes = Vec::new();
        for pair in replaced.windows(2) {
            changes.extend(replace(&edge, pair[0], pair[1])?);
        }
        let way = Way {
            interface: ingress,
            mtu: MTU,
        };
        let tables = EdgeTables::new(&config, &changes, &way)?;
        let reference = Reference::Edge(tables);
        wait_for("every backend's next hop", PATIENCE, || {
            ensure_reachable(&pins, &reference.backends())
        })?;
        ensure!(edge.terminate()?.success(), "lbd edge failed");
        let loaded = Loaded::edge(world, &pins, &config)?;
        Ok(Site {
            namespace,
            wire,
            pins,
            program: "balance",
            ingress,
            reference,
            loaded,
            connection: None,
        })
    }

    fn agent(world: &World, file: &Path) -> Result<Site> {
        let (namespace, wire) = host(world, "instance", INSTANCE)?;
        let outside = world.add_namespace("agent")?;
        let vip = SocketAddr::from((VIP, PORT));
        let text = format!(
            "{}\n[[instance]]\nname = \"one\"\nnetns = \"{}\"\nvips = [\"{}\"]\n",
            read(file)?,
            namespace.path().display(),
            vip.ip(),
        );
        let agent = Agent::start_with(world, &outside, &text)?;
        let connection = namespace.enter(|| -> Result<_> {
            let listener = TcpListener::bind(vip)?;
            let client = TcpStream::connect(vip)?;
            let (server, _) = listener.accept()?;
            Ok((listener, client, server))
        })??;
        agent.kill();
        let pins = Agent::pins(world, "one");
        let loaded = Loaded::agent(&pins)?;
        Ok(Site {
            ingress: index(&namespace, "eth0")?,
            namespace,
            wire,
            pins,
            program: "decap",
            reference: Reference::Agent(Serving {
                edge: abi_address(EDGE),
                vip: abi_address(VIP),
            }),
            loaded,
            connection: Some(connection),
        })
    }

    /// The frame that a case drives.
    pub(crate) fn frame(&self, case: &Case) -> Result<Vec<u8>> {
        let Some((_, client, _)) = &self.connection else {
            return Ok(case.frame.clone());
        };
        let SocketAddr::V4(client) = client.local_addr()? else {
            anyhow::bail!("the connection is not of IPv4");
        };
        let mut segment = frame::tcp(0x10);
        segment[..2].copy_from_slice(&client.port().to_be_bytes());
        segment[2..4].copy_from_slice(&PORT.to_be_bytes());
        let inner = frame::addressed(frame::ipv4(&segment, 6), client.ip().octets(), VIP);
        Ok(match case.driver {
            "drive_ipip" => frame::ipip(&inner, EDGE, INSTANCE),
            "drive_gue" => frame::gue(&inner, EDGE, INSTANCE, &[]),
            _ => frame::gue(&inner, EDGE, INSTANCE, &PRIVATE),
        })
    }
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn abi_address(octets: [u8; 4]) -> balancer_common::Address {
    balancer_common::Address::from_ipv4(octets)
}

/// A network namespace and the one that its interfaces lead to; its gateway is nobody, and known.
fn host(world: &World, name: &str, address: [u8; 4]) -> Result<(Namespace, Namespace)> {
    let wire = world.add_namespace(&format!("{name}-wire"))?;
    let namespace = world.add_namespace(name)?;
    // Whoever has no address says nothing.
    wire.sysctls(&[("ipv6/conf/default/disable_ipv6", "1")])?;
    namespace.sysctls(&[("ipv6/conf/default/accept_dad", "0")])?;
    wire.ip(&format!(
        "link add {WIRE} mtu {MTU} type veth peer name eth0 mtu {MTU} netns {name}\n\
         link add {FLOOR_WIRE} mtu {MTU} type veth peer name {FLOOR} mtu {MTU} netns {name}\n\
         link set {WIRE} up\n\
         link set {FLOOR_WIRE} up\n"
    ))?;
    let [a, b, c, d] = address;
    namespace.ip(&format!(
        "link set eth0 address 02:00:00:00:00:02\n\
         addr add {a}.{b}.{c}.{d}/24 dev eth0\n\
         addr add fd00:1::{d}/64 dev eth0 nodad\n\
         link set eth0 up\n\
         link set {FLOOR} up\n\
         route add 10.16.0.0/12 via 10.1.0.1\n\
         route add fd00:16::/64 via fd00:1::1\n\
         neigh add 10.1.0.1 lladdr 02:00:00:00:01:01 dev eth0 nud permanent\n\
         neigh add fd00:1::1 lladdr 02:00:00:00:01:01 dev eth0 nud permanent\n"
    ))?;
    Ok((namespace, wire))
}

/// The index of an interface.
pub(crate) fn index(namespace: &Namespace, interface: &str) -> Result<u32> {
    namespace.enter(|| nix::net::if_::if_nametoindex(interface).context("no such interface"))?
}

/// Makes `new` the owner of every slot in the place of `old`; gives what was changed.
fn replace(edge: &Edge, old: &str, new: &str) -> Result<[Change; 2]> {
    edge.lbctl_ok(&["backends", "add", REPLACED, new])?;
    edge.lbctl_ok(&["backends", "drain", REPLACED, old])?;
    wait_for(&format!("{new} to own every slot"), PATIENCE, || {
        for backend in edge.backends()? {
            let owns = backend.service.as_str() == REPLACED && backend.slots != 0;
            ensure!(!owns || backend.address.to_string() == new, "{backend:?}");
        }
        Ok(())
    })?;
    let service: ServiceName = REPLACED.parse().map_err(anyhow::Error::msg)?;
    Ok([
        Change::AddBackend {
            service: service.clone(),
            backend: Backend {
                address: new.parse()?,
                weight: Weight::default(),
                admin: AdminState::Active,
            },
        },
        Change::Drain {
            service,
            address: old.parse()?,
            force: false,
        },
    ])
}

fn ensure_reachable(pins: &Path, backends: &[u16]) -> Result<()> {
    let map = MapData::from_pin(pins.join("BACKENDS"))?;
    let records: Array<MapData, abi::Backend> = Map::Array(map).try_into()?;
    for &id in backends {
        let record = records.get(&u32::from(id), 0)?;
        ensure!(
            record.interface != 0 && record.outer >= outer::IPV4,
            "backend {id} has no next hop"
        );
    }
    Ok(())
}
