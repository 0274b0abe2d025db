//! `agent.toml`: what `lbd agent` does for the backends of one host.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use balancer_core::state::rules;
use ipnet::IpNet;

use super::{
    ConfigError, XdpMode,
    api::{ApiListen, api_listen},
    edge::{absolute, interface, metrics_listen, path, xdp_mode},
    section::{Section, Source, Value},
};

/// The checked content of `agent.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// Where maps and links are pinned.
    pub pin_dir: PathBuf,
    /// How the program that decapsulates is attached.
    pub xdp_mode: XdpMode,
    /// Where encapsulated packets may come from: a filter, not authentication.
    pub edges: Vec<IpNet>,
    /// Where other backends are, with whom packets are handed on: a filter like `edges`. None: nothing is handed on.
    pub peers: Vec<IpNet>,
    /// The backends on this host.
    pub instances: Vec<Instance>,
    /// Where more instances are declared, a file each; nowhere if `None`.
    pub instance_dir: Option<PathBuf>,
    /// Where sockets are counted for edges; nowhere if `None`.
    pub api_listen: Option<ApiListen>,
    /// Where Prometheus finds the daemon; nowhere if `None`.
    pub metrics_listen: Option<SocketAddr>,
}

/// A backend on this host: a network namespace that packets are delivered to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// What people call it; unique on the host.
    pub name: String,
    /// The file that stands for its network namespace.
    pub netns: PathBuf,
    /// The interface inside that encapsulated packets come in by.
    pub interface: String,
    /// The VIPs that it answers for.
    pub vips: Vec<IpAddr>,
}

const PIN_DIR: &str = "/sys/fs/bpf/balancer-agent";
const INSTANCE_KEYS: [&str; 4] = ["name", "netns", "interface", "vips"];
const INTERFACE: &str = "eth0";

impl AgentConfig {
    /// Reads the text of an `agent.toml`; `file` is its name in errors.
    ///
    /// # Errors
    ///
    /// When the text is no such file.
    pub fn parse(text: &str, file: &str) -> Result<AgentConfig, ConfigError> {
        const KEYS: [&str; 10] = [
            "version",
            "pin_dir",
            "xdp_mode",
            "edges",
            "peers",
            "metrics_listen",
            "instance",
            "instance_dir",
            "api_listen",
            "api_token_file",
        ];
        let source = Source { text, file };
        let table = source.parse()?;
        let file = Section::file(source, &table, &KEYS)?;
        let instances = match file.get("instance") {
            Some(value) => instances(&value)?,
            None => Vec::new(),
        };
        Ok(AgentConfig {
            pin_dir: path(&file, "pin_dir", PIN_DIR)?,
            xdp_mode: xdp_mode(&file)?,
            edges: edges(&file)?,
            peers: match file.get("peers") {
                Some(value) => prefixes(&value)?,
                None => Vec::new(),
            },
            instances,
            instance_dir: match file.get("instance_dir") {
                Some(value) => Some(absolute(&value)?),
                None => None,
            },
            api_listen: api_listen(&file)?,
            metrics_listen: metrics_listen(&file)?,
        })
    }
}

impl Instance {
    /// Reads the text of a file in `instance_dir`: the keys of one `[[instance]]`, and `version = 1`, which may be
    /// left out; `file` is its name in errors.
    ///
    /// # Errors
    ///
    /// When the text is no such file.
    pub fn parse(text: &str, file: &str) -> Result<Instance, ConfigError> {
        let keys: Vec<&str> = ["version"].into_iter().chain(INSTANCE_KEYS).collect();
        let source = Source { text, file };
        let table = source.parse()?;
        instance(&Section::drop_in(source, &table, &keys)?)
    }
}

const PREFIXES: &str = "prefixes such as [\"10.1.0.0/24\"]";

fn edges(file: &Section<'_>) -> Result<Vec<IpNet>, ConfigError> {
    let value = file.required("edges", PREFIXES)?;
    let edges = prefixes(&value)?;
    match edges.is_empty() {
        true => Err(value.error("without a prefix nobody may send".into(), PREFIXES)),
        false => Ok(edges),
    }
}

fn prefixes(value: &Value<'_>) -> Result<Vec<IpNet>, ConfigError> {
    let mut prefixes = Vec::new();
    for value in value.array(PREFIXES)? {
        let prefix: IpNet = value.parse("a prefix such as \"10.1.0.0/24\"")?;
        if prefix != prefix.trunc() {
            let problem = format!("{prefix} has bits set behind its prefix");
            return Err(value.error(problem, &format!("\"{}\"", prefix.trunc())));
        }
        prefixes.push(prefix);
    }
    Ok(prefixes)
}

fn instances(value: &Value<'_>) -> Result<Vec<Instance>, ConfigError> {
    let mut instances = Vec::new();
    let mut names = BTreeSet::new();
    let mut places = BTreeSet::new();
    for value in value.array("[[instance]] tables")? {
        let section = value.section(&INSTANCE_KEYS, "a table such as [[instance]]")?;
        let instance = instance(&section)?;
        if !names.insert(instance.name.clone()) {
            let problem = format!("another instance is called {:?}", instance.name);
            return Err(section.error("name", problem, "a name of its own"));
        }
        if !places.insert((instance.netns.clone(), instance.interface.clone())) {
            let problem = "another instance has this namespace and interface".into();
            return Err(section.error("netns", problem, "each interface of a namespace once"));
        }
        instances.push(instance);
    }
    Ok(instances)
}

fn instance(section: &Section<'_>) -> Result<Instance, ConfigError> {
    let expected = "a name, such as \"web-1\"";
    let value = section.required("name", expected)?;
    let name = value.string(expected)?;
    if name.is_empty() || name.contains(['/', '.', '\0']) || name.len() > 63 {
        // The name is part of the path of its pins, and bpffs takes no dots.
        let expected = "1 to 63 bytes without `/` and `.`";
        return Err(value.error(format!("{name:?}"), expected));
    }
    Ok(Instance {
        name: name.to_owned(),
        netns: absolute(&section.required("netns", "a path such as \"/run/netns/web-1\"")?)?,
        interface: match section.get("interface") {
            Some(value) => interface(&value)?,
            None => INTERFACE.to_owned(),
        },
        vips: vips(section)?,
    })
}

fn vips(section: &Section<'_>) -> Result<Vec<IpAddr>, ConfigError> {
    let expected = "VIPs such as [\"198.51.100.10\"]";
    let value = section.required("vips", expected)?;
    let mut vips = Vec::new();
    for value in value.array(expected)? {
        let vip: IpAddr = value.parse("an IP address in quotes")?;
        if let Some(problem) = rules::no_host(vip) {
            return Err(value.error(problem, rules::VIP));
        }
        if vips.contains(&vip) {
            return Err(value.error(format!("{vip} is there already"), "each VIP once"));
        }
        vips.push(vip);
    }
    match vips.is_empty() {
        true => Err(value.error("without a VIP there is nothing to deliver".into(), expected)),
        false => Ok(vips),
    }
}
