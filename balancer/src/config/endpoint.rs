//! Where a daemon or an engine answers.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

use super::{ConfigError, edge::absolute, section::Section};

/// A place that answers HTTP: `unix:/path`, or `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
    /// TCP, in the clear.
    Http {
        /// An IP address, without brackets, or a name.
        host: String,
        /// The port, 1 to 65535.
        port: u16,
    },
}

/// What an endpoint looks like.
const EXPECTED: &str = "\"unix:/path\" or \"http://host:port\"";

impl Endpoint {
    /// Whether what is said to it stays on this host.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Http { host, .. } => match host.parse::<IpAddr>() {
                Ok(address) => address.is_loopback(),
                Err(_) => host == "localhost",
            },
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || format!("{text:?} is no endpoint");
        if let Some(path) = text.strip_prefix("unix:") {
            // What fits into `sun_path`, with its final zero.
            let fits = path.starts_with('/') && path.len() <= 107 && !path.contains('\0');
            return fits.then(|| Self::Unix(path.into())).ok_or_else(problem);
        }
        let authority = text.strip_prefix("http://").ok_or_else(problem)?;
        let (host, port) = authority.rsplit_once(':').ok_or_else(problem)?;
        let port = port.parse().ok().filter(|&port: &u16| port > 0);
        let (host, is_host) = match host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            Some(host) => (host, host.parse::<std::net::Ipv6Addr>().is_ok()),
            None => {
                let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
                (host, !host.is_empty() && host.chars().all(letter))
            }
        };
        match (port, is_host) {
            (Some(port), true) => Ok(Self::Http {
                host: host.to_owned(),
                port,
            }),
            _ => Err(problem()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Self::Http { host, port } => write!(f, "http://{host}:{port}"),
        }
    }
}

/// An endpoint that has to be there.
pub(super) fn endpoint(section: &Section<'_>, key: &str) -> Result<Endpoint, ConfigError> {
    section.required(key, EXPECTED)?.parse(EXPECTED)
}

/// The file of the token for an endpoint; there has to be one when it is on another host.
pub(super) fn token_file(
    section: &Section<'_>,
    key: &str,
    of: &str,
    endpoint: &Endpoint,
) -> Result<Option<PathBuf>, ConfigError> {
    match section.get(key) {
        Some(value) => Ok(Some(absolute(&value)?)),
        None if endpoint.is_local() => Ok(None),
        None => {
            let problem = format!("it is missing, and `{of}` is on another host");
            let expected = "the path of a file that holds the token";
            Err(section.error(key, problem, expected))
        }
    }
}
