//! A service: VIP, port and protocol, with its backends and policy.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Backend, Check};

/// A service: what one VIP, port and protocol is balanced to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// What people call it; unique on an edge.
    pub name: ServiceName,
    /// What packets call it; unique on an edge.
    pub key: ServiceKey,
    /// How packets travel to its backends.
    pub encapsulation: Encapsulation,
    /// Which of a packet's fields choose its slot.
    ///
    /// Left out while it is the default, so that states and digests stay those of programs before it.
    #[serde(default, skip_serializing_if = "HashPolicy::is_default")]
    pub hash: HashPolicy,
    /// How its backends' health is asked for; without a check a backend counts as healthy.
    pub check: Option<Check>,
    /// How long a draining backend stays before it is removed, in milliseconds.
    pub drain_timeout_ms: u32,
    /// Its backends by address.
    pub backends: BTreeMap<IpAddr, Backend>,
}

impl Service {
    /// How long a draining backend stays in a service that says nothing of it, in milliseconds.
    pub const DRAIN_TIMEOUT_MS: u32 = 30_000;
}

/// A service's name: 1 to 63 of `a-z`, `0-9`, `-`, beginning and ending with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// What a name has to be.
    pub const EXPECTED: &str = "1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends";

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let fits = (1..=63).contains(&name.len())
            && name
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !name.starts_with('-')
            && !name.ends_with('-');
        if !fits {
            return Err(format!(
                "`{name}` is no service name: use {}",
                Self::EXPECTED
            ));
        }
        Ok(Self(name.into()))
    }
}

impl TryFrom<String> for ServiceName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> String {
        name.as_str().to_owned()
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// VIP, port and protocol: what the packets of a service have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceKey {
    /// The anycast address.
    pub vip: IpAddr,
    /// The destination port.
    pub port: u16,
    /// The protocol above IP.
    pub protocol: Protocol,
}

/// `198.51.100.10:8000/tcp`, `[2001:db8::10]:8000/udp`.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}",
            SocketAddr::new(self.vip, self.port),
            self.protocol
        )
    }
}

/// The protocols that services have.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumMessage,
    strum::EnumString,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Protocol {
    /// TCP, IP protocol 6.
    #[default]
    Tcp,
    /// UDP, IP protocol 17.
    Udp,
}

impl Protocol {
    /// Its number in the IP header (IANA).
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// How packets travel to backends.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumMessage,
    strum::EnumString,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Encapsulation {
    /// Generic UDP encapsulation (variant 0, UDP port 6080) over the backend's address family, for backends with an agent.
    #[default]
    Gue,
    /// IPv4 in IPv4 (RFC 2003).
    Ipip,
    /// IPv6 in IPv6 (RFC 2473).
    Ip6ip6,
    /// IPv4 in IPv6 (RFC 2473).
    Ip4in6,
}

impl Encapsulation {
    /// Whether it can carry packets for `vip` to `backend`.
    pub fn carries(self, vip: IpAddr, backend: IpAddr) -> bool {
        match self {
            Self::Gue => true,
            Self::Ipip => vip.is_ipv4() && backend.is_ipv4(),
            Self::Ip6ip6 => vip.is_ipv6() && backend.is_ipv6(),
            Self::Ip4in6 => vip.is_ipv4() && backend.is_ipv6(),
        }
    }
}

/// Which of a packet's fields choose its slot.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumMessage,
    strum::EnumString,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum HashPolicy {
    /// Addresses, ports and protocol: each connection by itself.
    #[default]
    Flow,
    /// The source address alone: all packets of a client go to the same backend, fragments too.
    Source,
}

impl HashPolicy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A service's number on this edge: 0 to 4,095.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceId(pub u16);

impl From<ServiceId> for u16 {
    fn from(id: ServiceId) -> u16 {
        id.0
    }
}
