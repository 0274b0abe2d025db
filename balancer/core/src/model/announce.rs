//! How an edge lets routers know of its VIPs.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// Who announces the VIPs, and how it is asked to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// GoBGP, by its gRPC interface.
    Gobgp(Gobgp),
    /// A routing daemon that announces the addresses of a link, such as BIRD or FRR.
    Local {
        /// The link's name.
        link: String,
    },
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gobgp(gobgp) => write!(f, "gobgp at {}", gobgp.address),
            Self::Local { link } => write!(f, "addresses on {link}"),
        }
    }
}

/// Where GoBGP is, and what the paths say that it is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gobgp {
    /// Where its gRPC interface listens.
    pub address: SocketAddr,
    /// The next hop of IPv4 VIPs; the edge's interface's own address if `None`.
    pub next_hop_ipv4: Option<Ipv4Addr>,
    /// The next hop of IPv6 VIPs; the edge's interface's own address if `None`.
    pub next_hop_ipv6: Option<Ipv6Addr>,
    /// The communities of each path.
    pub communities: Vec<Community>,
    /// The multi-exit discriminator of each path: among paths of one neighbour, routers take the lowest.
    pub med: Option<u32>,
}

/// A BGP community (RFC 1997), as `65000:100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Community(pub u32);

impl FromStr for Community {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let halves = text.split_once(':').and_then(|(high, low)| {
            let half = |digits: &str| digits.parse::<u16>().ok();
            Some((half(high)?, half(low)?))
        });
        match halves {
            Some((high, low)) => Ok(Self(u32::from(high) << 16 | u32::from(low))),
            None => Err("it is not two numbers up to 65535 with a colon between them".to_owned()),
        }
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff)
    }
}

/// What becomes of a VIP none of whose services has a usable backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenUnhealthy {
    /// It is withdrawn: another edge or site may have a backend.
    #[default]
    Withdraw,
    /// It stays announced: there is nowhere else to go.
    Announce,
}

/// What becomes of the VIPs when the daemon is told to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStop {
    /// They are withdrawn before it stops.
    #[default]
    Withdraw,
    /// They stay announced: the data plane goes on, and the daemon will be back.
    Keep,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_community_is_written_as_it_is_read() {
        let community: Community = "65000:100".parse().unwrap();
        assert_eq!(community, Community(65_000 << 16 | 100));
        assert_eq!(community.to_string(), "65000:100");
        for wrong in ["65000", "65536:1", "1:65536", "1:2:3", ":", "no-export"] {
            assert!(wrong.parse::<Community>().is_err(), "{wrong}");
        }
    }
}
