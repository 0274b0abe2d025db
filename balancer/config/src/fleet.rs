//! `fleet.toml`: the sites that run workloads, and the addresses that their VIPs are chosen from.

use std::{collections::BTreeSet, path::PathBuf};

use balancer_core::{
    model::{City, Endpoint},
    state::rules,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    ConfigError,
    edge::path,
    endpoint::{endpoint, token_file},
    host_network::{HostNetwork, NETWORK, network, prefix},
    section::{Section, Source, Value},
};

/// The checked content of `fleet.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetConfig {
    /// The file, as it was named.
    pub file: String,
    /// What VIPs are chosen from.
    pub vip_pool: VipPool,
    /// The sites, one a city.
    pub sites: Vec<Site>,
}

/// The addresses that VIPs are chosen from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VipPool {
    /// The IPv4 prefixes, in the file's order; none overlaps another.
    pub ipv4: Vec<Ipv4Net>,
    /// The IPv6 prefixes, in the file's order; none overlaps another.
    pub ipv6: Vec<Ipv6Net>,
    /// The line of the file that has them, counted from 1; the first if there is no pool.
    pub line: usize,
}

/// A city's edges and hosts, with the daemon that runs instances there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its city; unique.
    pub city: City,
    /// Where `lbd site` answers.
    pub api: Endpoint,
    /// The file that holds the token for it.
    pub token_file: Option<PathBuf>,
    /// Its edges, at least one.
    pub edges: Vec<SiteEdge>,
    /// Its hosts, at least one.
    pub hosts: Vec<SiteHost>,
}

/// An edge of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteEdge {
    /// What people call it; unique in the fleet.
    pub name: String,
    /// Where `lbd edge` answers.
    pub api: Endpoint,
    /// The file that holds the token for it.
    pub token_file: Option<PathBuf>,
}

/// A host of a site, which runs instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteHost {
    /// What people call it; unique in the fleet.
    pub name: String,
    /// What runs its instances.
    pub runtime: RuntimeKind,
    /// What its instances are connected to.
    pub network: HostNetwork,
    /// Where its agent finds the instances that it attends, one file each.
    pub instance_dir: PathBuf,
    /// Where `lbd agent` answers.
    pub agent: Endpoint,
    /// The file that holds the token for it.
    pub agent_token_file: Option<PathBuf>,
}

/// What runs a host's instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeKind {
    /// A container engine with Docker's API.
    Docker {
        /// Where it answers.
        engine: Endpoint,
    },
    /// Processes in network namespaces of their own.
    Builtin,
}

const ENGINE: &str = "unix:/var/run/docker.sock";
const INSTANCE_DIR: &str = "/run/balancer/instances.d";

impl FleetConfig {
    /// Reads the text of a `fleet.toml`; `file` is its name in errors.
    ///
    /// # Errors
    ///
    /// When the text is no such file.
    pub fn parse(text: &str, file: &str) -> Result<FleetConfig, ConfigError> {
        let source = Source { text, file };
        let table = source.parse()?;
        let file = Section::file(source, &table, &["version", "vip_pool", "site"])?;
        let vip_pool = match file.get("vip_pool") {
            Some(value) => vip_pool(&value)?,
            None => VipPool {
                line: 1,
                ..VipPool::default()
            },
        };
        let expected = "[[site]] tables";
        let mut seen = Seen::default();
        let mut sites = Vec::new();
        for value in file.required("site", expected)?.array(expected)? {
            sites.push(site(&value, &vip_pool, &mut seen)?);
        }
        Ok(FleetConfig {
            file: source.file.to_owned(),
            vip_pool,
            sites,
        })
    }

    /// The site of a city.
    pub fn site(&self, city: &City) -> Option<&Site> {
        self.sites.iter().find(|site| site.city == *city)
    }
}

impl VipPool {
    fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        let v4 = self.ipv4.iter().map(|&prefix| IpNet::from(prefix));
        v4.chain(self.ipv6.iter().map(|&prefix| IpNet::from(prefix)))
    }
}

/// Names that only one may have.
#[derive(Default)]
struct Seen {
    cities: BTreeSet<City>,
    edges: BTreeSet<String>,
    hosts: BTreeSet<String>,
}

fn vip_pool(value: &Value<'_>) -> Result<VipPool, ConfigError> {
    let section = value.section(&["ipv4", "ipv6"], "a table such as [vip_pool]")?;
    let mut pool = VipPool {
        line: value.line(),
        ..VipPool::default()
    };
    for (key, example) in [("ipv4", "198.51.100.0/28"), ("ipv6", "2001:db8:1::/64")] {
        let Some(value) = section.get(key) else {
            continue;
        };
        for value in value.array(&format!("prefixes such as [\"{example}\"]"))? {
            let prefix = prefix(&value, example)?;
            if let Some(other) = pool.prefixes().find(|other| overlap(other, &prefix)) {
                let problem = format!("{prefix} overlaps {other}");
                return Err(value.error(problem, "each address once"));
            }
            if let Some(problem) = rules::no_host(prefix.network()) {
                return Err(value.error(problem, rules::VIP));
            }
            match (key, prefix) {
                ("ipv4", IpNet::V4(prefix)) => pool.ipv4.push(prefix),
                ("ipv6", IpNet::V6(prefix)) => pool.ipv6.push(prefix),
                _ => return Err(value.error(format!("{prefix}"), &format!("{key}: {example:?}"))),
            }
        }
    }
    Ok(pool)
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

fn site(value: &Value<'_>, pool: &VipPool, seen: &mut Seen) -> Result<Site, ConfigError> {
    let keys = ["city", "api", "token_file", "edge", "host"];
    let section = value.section(&keys, "a table such as [[site]]")?;
    let city: City = section
        .required("city", City::EXPECTED)?
        .parse(City::EXPECTED)?;
    if !seen.cities.insert(city.clone()) {
        let problem = format!("{city} has a site already");
        return Err(section.error("city", problem, "one site a city"));
    }
    let api = endpoint(&section, "api")?;
    let token_file = token_file(&section, "token_file", "api", &api)?;
    let expected = "[[site.edge]] tables";
    let mut edges = Vec::new();
    for value in section.required("edge", expected)?.array(expected)? {
        edges.push(edge(&value, &mut seen.edges)?);
    }
    let expected = "[[site.host]] tables";
    let mut hosts: Vec<SiteHost> = Vec::new();
    for value in section.required("host", expected)?.array(expected)? {
        let (host, section) = host(&value, &mut seen.hosts)?;
        let own = [
            Some(IpNet::from(host.network.subnet)),
            host.network.subnet6.map(IpNet::from),
        ];
        let others = hosts.iter().flat_map(|other| {
            let v6 = other.network.subnet6.map(IpNet::from);
            [Some(IpNet::from(other.network.subnet)), v6]
                .into_iter()
                .flatten()
        });
        let taken: Vec<IpNet> = others.chain(pool.prefixes()).collect();
        for (own, key) in own.into_iter().zip(["network.subnet", "network.subnet6"]) {
            let Some(own) = own else { continue };
            if let Some(other) = taken.iter().find(|other| overlap(other, &own)) {
                let problem = format!("{own} overlaps {other}");
                let expected = "addresses that no other host of the site has, and no VIP";
                return Err(section.error(key, problem, expected));
            }
        }
        hosts.push(host);
    }
    for (key, is_empty) in [("edge", edges.is_empty()), ("host", hosts.is_empty())] {
        if is_empty {
            let problem = format!("a site without {key}s serves nobody");
            return Err(section.error(key, problem, "at least one"));
        }
    }
    Ok(Site {
        city,
        api,
        token_file,
        edges,
        hosts,
    })
}

fn edge(value: &Value<'_>, seen: &mut BTreeSet<String>) -> Result<SiteEdge, ConfigError> {
    let keys = ["name", "api", "token_file"];
    let section = value.section(&keys, "a table such as [[site.edge]]")?;
    let name = name(&section, seen)?;
    let api = endpoint(&section, "api")?;
    Ok(SiteEdge {
        name,
        token_file: token_file(&section, "token_file", "api", &api)?,
        api,
    })
}

fn host<'a>(
    value: &Value<'a>,
    seen: &mut BTreeSet<String>,
) -> Result<(SiteHost, Section<'a>), ConfigError> {
    const KEYS: [&str; 7] = [
        "name",
        "runtime",
        "engine",
        "network",
        "instance_dir",
        "agent",
        "agent_token_file",
    ];
    let section = value.section(&KEYS, "a table such as [[site.host]]")?;
    let name = name(&section, seen)?;
    let expected = "\"docker\" or \"builtin\"";
    let docker = section.required("runtime", expected)?;
    let docker = docker.word(&[("docker", true), ("builtin", false)])?;
    let engine = section.get("engine");
    let runtime = match (docker, engine) {
        (true, Some(_)) => RuntimeKind::Docker {
            engine: endpoint(&section, "engine")?,
        },
        (true, None) => RuntimeKind::Docker {
            engine: ENGINE.parse().expect("a path"),
        },
        (false, None) => RuntimeKind::Builtin,
        (false, Some(engine)) => {
            let problem = "the built-in runtime has no engine".to_owned();
            return Err(engine.error(problem, "it with runtime = \"docker\" only"));
        }
    };
    let agent = endpoint(&section, "agent")?;
    let host = SiteHost {
        name,
        runtime,
        network: network(&section.required("network", NETWORK)?)?,
        instance_dir: path(&section, "instance_dir", INSTANCE_DIR)?,
        agent_token_file: token_file(&section, "agent_token_file", "agent", &agent)?,
        agent,
    };
    Ok((host, section))
}

fn name(section: &Section<'_>, seen: &mut BTreeSet<String>) -> Result<String, ConfigError> {
    let expected = "a name of its own, such as \"sea-1\"";
    let value = section.required("name", expected)?;
    let name = value.string(expected)?;
    if name.is_empty() || name.len() > 63 || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(value.error(format!("{name:?}"), "1 to 63 bytes without spaces"));
    }
    if !seen.insert(name.to_owned()) {
        return Err(value.error(format!("there is another {name:?}"), expected));
    }
    Ok(name.to_owned())
}
