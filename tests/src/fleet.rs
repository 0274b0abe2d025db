//! The two cities with everything that runs in them: routers, speakers, edges, agents, and the daemons of the sites.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::bgp::{Bird, BirdConfig, Gobgp, Neighbour, next_hops};
use crate::{Agent, Cities, City, Edge, EdgeOptions, Engine, World};

/// Where an edge serves its API to the site, and where an agent serves its to edges.
const EDGE_API: u16 = 9118;
const AGENT_API: u16 = 9110;

/// What runs the instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// A container engine on each host.
    Docker,
    /// Processes in network namespaces.
    Builtin,
}

/// What is in one city besides its wires.
pub struct Staffed {
    /// The wires.
    pub city: City,
    /// `lbd edge`.
    pub edge: Edge,
    /// `lbd agent` on the host.
    pub agent: Agent,
    /// The host's engine, if instances are containers.
    pub engine: Option<Engine>,
    /// The router's BIRD.
    pub router: Bird,
    /// The edge's own speaker, if it is GoBGP.
    pub gobgp: Option<Gobgp>,
}

/// Seattle, whose edge has BIRD as its speaker, and Dallas, whose has GoBGP.
pub struct Fleet {
    /// Seattle.
    pub sea: Staffed,
    /// Dallas.
    pub dfw: Staffed,
    /// The fleet file.
    pub file: PathBuf,
}

impl Fleet {
    /// Starts everything but the sites' daemons.
    pub fn start(world: &World, cities: &Cities, runs: Runs) -> Result<Fleet> {
        let token = world.directory().join("token");
        fs::write(&token, "a-token-for-tests\n")?;
        fs::set_permissions(&token, Permissions::from_mode(0o600))?;
        let sea = Staffed::start(world, &cities.sea, &cities.dfw, runs, &token)?;
        let dfw = Staffed::start(world, &cities.dfw, &cities.sea, runs, &token)?;
        for (here, there) in [(&sea, &dfw), (&dfw, &sea)] {
            here.router.wait_for_session(&edge_session(&here.city))?;
            here.router
                .wait_for_session(&backbone_session(&there.city))?;
        }
        let file = world.directory().join("fleet.toml");
        let (v4, v6) = Cities::VIPS;
        let mut text = format!("version = 1\n[vip_pool]\nipv4 = [\"{v4}\"]\nipv6 = [\"{v6}\"]\n");
        for staffed in [&sea, &dfw] {
            text.push_str(&staffed.declaration(world, &token));
        }
        fs::write(&file, text)?;
        Ok(Fleet { sea, dfw, file })
    }
}

impl Staffed {
    fn start(
        world: &World,
        city: &City,
        other: &City,
        runs: Runs,
        token: &Path,
    ) -> Result<Staffed> {
        let name = |role: &str| format!("{role}-{}", city.code.to_lowercase());
        let (router_v4, _) = city.router_addresses();
        let config = BirdConfig::new(router_v4, City::ROUTERS_AS)
            .kernel()
            .bfd(&[])
            .learns_from(&edge_session(city))
            .exchanges_with(&backbone_session(other));
        let router = Bird::start(world, &name("bird"), &city.router, &config)?;
        let gobgp = match city.code {
            "SEA" => {
                start_bird_speaker(world, &name("speaker"), city)?;
                None
            }
            _ => Some(start_gobgp_speaker(world, &name("speaker"), city)?),
        };
        let engine = match runs {
            Runs::Docker => Some(Engine::start(world, &city.host)?),
            Runs::Builtin => None,
        };
        let settings = agent_settings(world, city, token)?;
        let agent = Agent::start_named(world, &name("agent"), &city.host, &settings)?;
        let (edge_v4, _) = city.edge_addresses();
        let speaker = if gobgp.is_some() { "gobgp" } else { "local" };
        let token = token.display();
        let edge = Edge::start(
            world,
            &name("lbd-edge"),
            &city.edge,
            &EdgeOptions {
                settings: format!(
                    "api_listen = \"{edge_v4}:{EDGE_API}\"\napi_token_file = \"{token}\"\n\
                     agent_token_file = \"{token}\"\n[announce]\nspeaker = \"{speaker}\"\n"
                ),
                services: String::new(),
            },
        )?;
        Ok(Staffed {
            city: city.clone(),
            edge,
            agent,
            engine,
            router,
            gobgp,
        })
    }

    /// The city's part of the fleet file.
    fn declaration(&self, world: &World, token: &Path) -> String {
        let City { code, .. } = self.city;
        let city = code.to_lowercase();
        let (edge, _) = self.city.edge_addresses();
        let (host, _) = self.city.host_addresses();
        let (subnet, subnet6) = self.city.instance_subnets();
        let runtime = match &self.engine {
            Some(engine) => format!("\"docker\"\nengine = \"{}\"", engine.address()),
            None => "\"builtin\"".to_owned(),
        };
        let (token, instances) = (token.display(), instance_dir(world, &self.city));
        format!(
            "[[site]]\ncity = \"{code}\"\napi = \"unix:{}\"\n\
             [[site.edge]]\nname = \"edge-{city}\"\napi = \"http://{edge}:{EDGE_API}\"\ntoken_file = \"{token}\"\n\
             [[site.host]]\nname = \"host-{city}\"\nruntime = {runtime}\n\
             network = {{ bridge = \"instances\", subnet = \"{subnet}\", subnet6 = \"{subnet6}\" }}\n\
             instance_dir = \"{}\"\nagent = \"http://{host}:{AGENT_API}\"\nagent_token_file = \"{token}\"\n",
            self.site_socket(world).display(),
            instances.display(),
        )
    }

    /// Where this city's `lbd site` answers.
    pub fn site_socket(&self, world: &World) -> PathBuf {
        let city = self.city.code.to_lowercase();
        world.directory().join(format!("site-{city}.sock"))
    }

    /// Where this city's router sends packets for a VIP; nowhere if nobody has announced it.
    pub fn next_hops(&self, vip: IpAddr) -> Result<BTreeSet<IpAddr>> {
        next_hops(&self.city.router, vip)
    }
}

/// The router's session with its edge.
fn edge_session(city: &City) -> Neighbour {
    Neighbour {
        name: "edge".to_owned(),
        address: city.edge_addresses().0.into(),
        autonomous_system: city.edge_as(),
        bfd: true,
    }
}

/// A router's session with the router of `other`.
fn backbone_session(other: &City) -> Neighbour {
    Neighbour {
        name: "backbone".to_owned(),
        address: other.backbone_address().into(),
        autonomous_system: City::ROUTERS_AS,
        bfd: false,
    }
}

/// An edge's session with its router.
fn upstream(city: &City, bfd: bool) -> Neighbour {
    Neighbour {
        name: "upstream".to_owned(),
        address: city.router_addresses().0.into(),
        autonomous_system: City::ROUTERS_AS,
        bfd,
    }
}

/// BIRD announces the VIPs that `lbd edge` puts on `lo`, and does BFD itself.
fn start_bird_speaker(world: &World, name: &str, city: &City) -> Result<()> {
    let config = BirdConfig::new(city.edge_addresses().0, city.edge_as())
        .bfd(&[])
        .addresses_of("lo")
        .announces_to(&upstream(city, true), Cities::VIPS);
    Bird::start(world, name, &city.edge, &config).map(drop)
}

/// GoBGP has no BFD: a BIRD beside it that does nothing else answers for it.
fn start_gobgp_speaker(world: &World, name: &str, city: &City) -> Result<Gobgp> {
    let (edge, _) = city.edge_addresses();
    let (router, _) = city.router_addresses();
    let answers = BirdConfig::new(edge, city.edge_as()).bfd(&[router.into()]);
    Bird::start(world, &format!("{name}-bfd"), &city.edge, &answers)?;
    let session = upstream(city, false);
    Gobgp::start(world, name, &city.edge, edge, city.edge_as(), &[session])
}

/// Where a host's agent finds its instances.
fn instance_dir(world: &World, city: &City) -> PathBuf {
    let city = city.code.to_lowercase();
    world.directory().join(format!("instances-{city}"))
}

fn agent_settings(world: &World, city: &City, token: &Path) -> Result<String> {
    let directory = instance_dir(world, city);
    fs::create_dir_all(&directory).context("cannot make the instances' directory")?;
    let (edge_v4, edge_v6) = city.edge_addresses();
    let (host, _) = city.host_addresses();
    let (subnet, subnet6) = city.instance_subnets();
    Ok(format!(
        "edges = [\"{edge_v4}/32\", \"{edge_v6}/128\"]\npeers = [\"{subnet}\", \"{subnet6}\"]\n\
         instance_dir = \"{}\"\napi_listen = \"{host}:{AGENT_API}\"\napi_token_file = \"{}\"\n",
        directory.display(),
        token.display(),
    ))
}
