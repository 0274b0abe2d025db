//! A service as its owner declares it, and how requests to it travel.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::pace::slowness;
use crate::{Instance, Topology};

/// What carries requests to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP, a connection a request.
    Tcp,
    /// A datagram from a port of its own, and its answer.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// One service over all instances of a topology.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The service's name.
    pub name: String,
    /// Where requests go.
    pub target: SocketAddr,
    /// How they travel.
    pub protocol: Protocol,
    /// `gue`, `ipip`, `ip6ip6` or `ip4in6`.
    pub encapsulation: String,
    /// The family of the backends' addresses where the encapsulation leaves it open; `None`: the VIP's.
    pub over_ipv6: Option<bool>,
    /// How long a removed backend keeps its flows, in milliseconds.
    pub drain_timeout_ms: u32,
    /// Milliseconds between two checks.
    pub check_interval_ms: u32,
    /// Milliseconds until a check has failed.
    pub check_timeout_ms: u32,
    /// Failed checks until a backend is down.
    pub fall: u32,
}

impl Workload {
    /// `web` on the instances' port, by GUE, with quick HTTP checks.
    pub fn new(vip: impl Into<IpAddr>, protocol: Protocol) -> Workload {
        Workload {
            name: "web".to_owned(),
            target: SocketAddr::new(vip.into(), Topology::PORT),
            protocol,
            encapsulation: "gue".to_owned(),
            over_ipv6: None,
            drain_timeout_ms: 1_000,
            check_interval_ms: 200 * slowness(),
            check_timeout_ms: 200 * slowness(),
            fall: 3,
        }
    }

    /// An instance's address as this service's backend: of the encapsulation's outer family.
    pub fn backend(&self, instance: &Instance) -> IpAddr {
        let over_ipv6 = match self.encapsulation.as_str() {
            "ipip" => false,
            "ip6ip6" | "ip4in6" => true,
            _ => self.over_ipv6.unwrap_or(self.target.is_ipv6()),
        };
        if over_ipv6 {
            instance.ipv6.into()
        } else {
            instance.ipv4.into()
        }
    }

    /// How soon a dead backend must be out: fall x interval + timeout.
    pub fn detection(&self) -> Duration {
        let millis = self.fall * self.check_interval_ms + self.check_timeout_ms;
        Duration::from_millis(millis.into())
    }

    /// As `edge.toml` declares it.
    pub fn declaration(&self, instances: &[Instance]) -> String {
        let Workload {
            name,
            target,
            protocol,
            encapsulation,
            ..
        } = self;
        let mut text = format!(
            "[[service]]\n\
             name = \"{name}\"\n\
             vip = \"{}\"\n\
             port = {}\n\
             protocol = \"{protocol}\"\n\
             encapsulation = \"{encapsulation}\"\n\
             drain_timeout_ms = {}\n\
             check = {{ type = \"http\", path = \"/\", interval_ms = {}, timeout_ms = {}, rise = 2, fall = {} }}\n",
            target.ip(),
            target.port(),
            self.drain_timeout_ms,
            self.check_interval_ms,
            self.check_timeout_ms,
            self.fall,
        );
        for instance in instances {
            let address = self.backend(instance);
            text.push_str(&format!(
                "[[service.backend]]\naddress = \"{address}\"\nweight = 1\n"
            ));
        }
        text
    }
}
