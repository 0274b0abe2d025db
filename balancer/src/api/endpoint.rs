//! Where a daemon is asked.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// Where a daemon is asked: `unix:/path`, a bare path, or `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
    /// HTTP over TCP, without encryption.
    Http {
        /// `host:port`; an IPv6 address stands in brackets.
        authority: String,
    },
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            Err(format!(
                "{text:?} {why}: write unix:/path or http://host:port"
            ))
        };
        if let Some(rest) = text.strip_prefix("http://") {
            let authority = rest.strip_suffix('/').unwrap_or(rest);
            let port = authority.rsplit_once(':').and_then(|(host, port)| {
                let bare = !host.is_empty() && (!host.contains(':') || host.ends_with(']'));
                bare.then(|| port.parse::<u16>().ok())?
            });
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_[]%".contains(&byte);
            return match port {
                Some(1..) if authority.bytes().all(plain) => Ok(Self::Http {
                    authority: authority.to_owned(),
                }),
                _ => wrong("has no host and port, or more than these"),
            };
        }
        match text.strip_prefix("unix:").unwrap_or(text) {
            "" => wrong("has no path"),
            path if path.contains("://") => wrong("is no address that lbd listens on"),
            path => Ok(Self::Unix(path.into())),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Http { authority } => write!(f, "http://{authority}"),
        }
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
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

impl From<&Path> for Endpoint {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_socket_or_a_host_with_its_port() {
        let unix = Endpoint::Unix("/run/lbd.sock".into());
        assert_eq!("unix:/run/lbd.sock".parse(), Ok(unix.clone()));
        assert_eq!("/run/lbd.sock".parse(), Ok(unix));
        for text in [
            "http://10.1.0.2:9108",
            "http://[fd00::2]:9108",
            "http://edge-1:80",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_told_how_to_be_one() {
        for text in [
            "",
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
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(
                error.ends_with("write unix:/path or http://host:port"),
                "{error}"
            );
        }
    }
}
