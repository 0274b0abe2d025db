//! Where a daemon or an engine answers.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

/// A place that answers HTTP: `unix:/path`, or `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

/// How an endpoint is written.
pub const FORMS: &str = "unix:/path or http://host:port";

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

    /// What people call it: a socket's path, or a URL.
    pub fn place(&self) -> String {
        match self {
            Self::Unix(path) => path.display().to_string(),
            Self::Http { .. } => self.to_string(),
        }
    }

    /// `host:port` of a URL, an IPv6 address in brackets; `None` of a socket.
    pub fn authority(&self) -> Option<String> {
        match self {
            Self::Unix(_) => None,
            Self::Http { host, port } if host.contains(':') => Some(format!("[{host}]:{port}")),
            Self::Http { host, port } => Some(format!("{host}:{port}")),
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
            Self::Http { .. } => {
                let authority = self.authority().unwrap_or_default();
                write!(f, "http://{authority}")
            }
        }
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hint = |problem| format!("{problem}: write {FORMS}");
        text.parse().map_err(hint)
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> String {
        endpoint.to_string()
    }
}

impl From<PathBuf> for Endpoint {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl From<&PathBuf> for Endpoint {
    fn from(path: &PathBuf) -> Self {
        Self::Unix(path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_socket_or_a_host_with_a_port() {
        for text in [
            "unix:/run/a.sock",
            "http://10.0.0.1:80",
            "http://[2001:db8::1]:80",
            "http://edge-1.example:9108",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "unix:",
            "unix:run",
            "https://a:1",
            "http://a",
            "http://a:0",
            "http://:1",
            "http://a b:1",
            "http://[a]:1",
            "http://2001:db8::1:80",
            "http://a:1/",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
        for (text, local) in [
            ("unix:/a", true),
            ("http://[::1]:1", true),
            ("http://127.0.0.2:1", true),
            ("http://localhost:1", true),
            ("http://10.0.0.1:1", false),
            ("http://a:1", false),
        ] {
            assert_eq!(
                text.parse::<Endpoint>().unwrap().is_local(),
                local,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_endpoint_is_told_how_to_be_one() {
        for text in [
            "",
            "/run/lbd.sock",
            "unix:",
            "http://",
            "http://edge",
            "http://:80",
            "http://edge:0",
            "http://fd00::2:80",
            "http://edge:80/v1",
            "http://edge:x",
            "https://edge:80",
        ] {
            let error = Endpoint::try_from(text.to_owned()).unwrap_err();
            assert!(
                error.ends_with("write unix:/path or http://host:port"),
                "{error}"
            );
        }
    }
}
