//! `edge.toml`: how `lbd edge` runs, and the services that it starts with.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use balancer_core::{model::Service, state::rules};
use ipnet::{Ipv4Net, Ipv6Net};

use super::{
    ConfigError,
    announce::{AnnounceConfig, announce},
    api::{ApiListen, api_listen},
    digest::services_digest,
    outer_source,
    section::{Section, Source, Value},
    services::services,
};

/// How the edge program is attached to its interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver.
    #[default]
    Native,
    /// In the kernel's stack: for tests and for interfaces without driver support; slow.
    Generic,
}

/// The checked content of `edge.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeConfig {
    /// The interfaces that packets for VIPs come in by: at least one, each once.
    pub interfaces: Vec<String>,
    /// How the program is attached to them.
    pub xdp_mode: XdpMode,
    /// Whether one of them may be that of the default route.
    pub allow_default_route_interface: bool,
    /// Where maps and links are pinned.
    pub pin_dir: PathBuf,
    /// Where the state file is.
    pub state_dir: PathBuf,
    /// Where `lbctl` finds the daemon.
    pub api_socket: PathBuf,
    /// Where the API is served over TCP; nowhere if `None`.
    pub api_listen: Option<ApiListen>,
    /// The token that agents are shown.
    pub agent_token_file: Option<PathBuf>,
    /// Where Prometheus finds the daemon; nowhere if `None`.
    pub metrics_listen: Option<SocketAddr>,
    /// The outer source towards IPv4 backends, or where it lies; the route's own if `None`.
    pub source_ipv4: Option<Ipv4Net>,
    /// The outer source towards IPv6 backends, or where it lies; the route's own if `None`.
    pub source_ipv6: Option<Ipv6Net>,
    /// The key of the flow hash; if `None`, the one in the state file, or a random one.
    pub hash_key: Option<u64>,
    /// The declared services.
    pub services: Vec<Service>,
    /// Their digest; `None` when the file has no key `service`, and so no opinion.
    pub services_digest: Option<String>,
    /// Whether the programs log packets, for debugging.
    pub debug_packets: bool,
    /// How routers are told of the VIPs; nobody tells them if `None`.
    pub announce: Option<AnnounceConfig>,
}

const PIN_DIR: &str = "/sys/fs/bpf/balancer";
const STATE_DIR: &str = "/var/lib/balancer";
const API_SOCKET: &str = "/run/balancer/lbd.sock";

impl EdgeConfig {
    /// Reads the text of an `edge.toml`; `file` is its name in errors.
    ///
    /// # Errors
    ///
    /// When the text is no such file, or its services break a rule.
    pub fn parse(text: &str, file: &str) -> Result<EdgeConfig, ConfigError> {
        const KEYS: [&str; 18] = [
            "version",
            "interface",
            "interfaces",
            "xdp_mode",
            "allow_default_route_interface",
            "pin_dir",
            "state_dir",
            "api_socket",
            "api_listen",
            "api_token_file",
            "agent_token_file",
            "metrics_listen",
            "source_ipv4",
            "source_ipv6",
            "hash_key",
            "debug_packets",
            "announce",
            "service",
        ];
        let source = Source { text, file };
        let table = source.parse()?;
        let file = Section::file(source, &table, &KEYS)?;
        let declared = file
            .get("service")
            .map(|value| services(&value))
            .transpose()?;
        Ok(EdgeConfig {
            interfaces: interfaces(&file)?,
            xdp_mode: xdp_mode(&file)?,
            allow_default_route_interface: flag(&file, "allow_default_route_interface")?,
            pin_dir: path(&file, "pin_dir", PIN_DIR)?,
            state_dir: path(&file, "state_dir", STATE_DIR)?,
            api_socket: socket(&file)?,
            api_listen: api_listen(&file)?,
            agent_token_file: match file.get("agent_token_file") {
                Some(value) => Some(absolute(&value)?),
                None => None,
            },
            metrics_listen: metrics_listen(&file)?,
            source_ipv4: outer_source::ipv4(&file)?,
            source_ipv6: outer_source::ipv6(&file)?,
            hash_key: hash_key(&file)?,
            services_digest: declared.as_deref().map(services_digest),
            services: declared.unwrap_or_default(),
            debug_packets: flag(&file, "debug_packets")?,
            announce: file
                .get("announce")
                .map(|value| announce(&value))
                .transpose()?,
        })
    }

    /// What is allowed, and probably not meant.
    pub fn doubt(&self) -> Option<&'static str> {
        (self.announce.is_some() && self.hash_key.is_none()).then_some(
            "VIPs are announced, and `hash_key` is not set: if another edge announces them too, give both the same \
             key, or connections break whenever a router moves them from one edge to the other",
        )
    }
}

/// The mode that the file asks for.
pub(super) fn xdp_mode(file: &Section<'_>) -> Result<XdpMode, ConfigError> {
    match file.get("xdp_mode") {
        Some(value) => value.word(&[("native", XdpMode::Native), ("generic", XdpMode::Generic)]),
        None => Ok(XdpMode::default()),
    }
}

/// What an interface's name has to be.
pub(super) const INTERFACE: &str = "an interface's name, such as \"eth0\"";

/// A name that the kernel could give to an interface.
pub(super) fn interface(value: &Value<'_>) -> Result<String, ConfigError> {
    let name = value.string(INTERFACE)?;
    let fits = (1..=15).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':')
        && name != "."
        && name != "..";
    match fits {
        true => Ok(name.to_owned()),
        false => Err(value.error(format!("{name:?} can be no interface's name"), INTERFACE)),
    }
}

/// The one that the file names, or those that it lists.
fn interfaces(file: &Section<'_>) -> Result<Vec<String>, ConfigError> {
    let Some(list) = file.get("interfaces") else {
        return Ok(vec![interface(&file.required("interface", INTERFACE)?)?]);
    };
    let expected = "names of interfaces, such as [\"eth0\", \"eth1\"]";
    if file.get("interface").is_some() {
        let problem = "`interface` is there too".into();
        return Err(list.error(problem, "one of the two keys"));
    }
    let mut names = Vec::new();
    for value in list.array(expected)? {
        let name = interface(&value)?;
        if names.contains(&name) {
            return Err(value.error(format!("{name:?} is there already"), "each interface once"));
        }
        names.push(name);
    }
    match names.is_empty() {
        false => Ok(names),
        true => Err(list.error("it is empty".into(), expected)),
    }
}

/// An absolute path.
pub(super) fn path(file: &Section<'_>, key: &str, otherwise: &str) -> Result<PathBuf, ConfigError> {
    match file.get(key) {
        Some(value) => absolute(&value),
        None => Ok(otherwise.into()),
    }
}

pub(super) fn absolute(value: &Value<'_>) -> Result<PathBuf, ConfigError> {
    let expected = "a path that begins with `/`";
    let text = value.string(expected)?;
    if !text.starts_with('/') || text.contains('\0') {
        return Err(value.error(format!("{text:?}"), expected));
    }
    Ok(text.into())
}

/// Where Prometheus is served, if the file says so.
pub(super) fn metrics_listen(file: &Section<'_>) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(value) = file.get("metrics_listen") else {
        return Ok(None);
    };
    let expected = "an address and a port, such as \"127.0.0.1:9107\"";
    let listen: SocketAddr = value.parse(expected)?;
    if listen.port() == 0 {
        return Err(value.error("port 0 is a different port each time".into(), expected));
    }
    Ok(Some(listen))
}

fn flag(file: &Section<'_>, key: &str) -> Result<bool, ConfigError> {
    file.get(key).map_or(Ok(false), |value| value.boolean())
}

fn socket(file: &Section<'_>) -> Result<PathBuf, ConfigError> {
    // What fits into `sun_path`, with its final zero.
    const MAX_BYTES: usize = 107;
    let socket = path(file, "api_socket", API_SOCKET)?;
    let bytes = socket.as_os_str().len();
    if bytes > MAX_BYTES {
        let problem = format!("{bytes} bytes are too many for a socket's path");
        return Err(file.error("api_socket", problem, "at most 107 bytes"));
    }
    Ok(socket)
}

pub(super) fn source_address<T>(
    file: &Section<'_>,
    key: &str,
    expected: &str,
) -> Result<Option<T>, ConfigError>
where
    T: FromStr<Err: std::fmt::Display> + Into<IpAddr> + Copy,
{
    let Some(value) = file.get(key) else {
        return Ok(None);
    };
    let address: T = value.parse(expected)?;
    match rules::no_host(address.into()) {
        Some(problem) => Err(value.error(problem, "an address of this edge")),
        None => Ok(Some(address)),
    }
}

fn hash_key(file: &Section<'_>) -> Result<Option<u64>, ConfigError> {
    let Some(value) = file.get("hash_key") else {
        return Ok(None);
    };
    let expected = "16 hexadecimal digits in quotes";
    let digits = value.string(expected)?;
    if digits.len() != 16 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        // Not the value: it keeps strangers from choosing their backend.
        return Err(value.error(
            format!("{} characters that are no key", digits.len()),
            expected,
        ));
    }
    Ok(u64::from_str_radix(digits, 16).ok())
}
