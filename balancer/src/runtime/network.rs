//! The network of a host's instances: a bridge with a subnet.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// A bridge on the host, and the addresses that instances get on it. The bridge itself has the gateways' addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The bridge's name, 1 to 15 bytes. Made if it is missing.
    pub bridge: String,
    /// The subnet on it.
    pub subnet: Ipv4Net,
    /// The bridge's address, which instances route by.
    pub gateway: Ipv4Addr,
    /// The part of the subnet that this host's instances get addresses of; all of it if `None`.
    #[serde(default)]
    pub range: Option<Ipv4Net>,
    /// IPv6 beside it.
    #[serde(default)]
    pub subnet6: Option<Ipv6Net>,
    /// The bridge's IPv6 address; needed with `subnet6`.
    #[serde(default)]
    pub gateway6: Option<Ipv6Addr>,
    /// MTU of the bridge and of the instances' interfaces, in bytes.
    #[serde(default = "default_mtu")]
    pub mtu: u16,
}

/// Room for the outer headers around the usual 1500 bytes.
fn default_mtu() -> u16 {
    1600
}

/// The longest that a veth carries with a native XDP program on linear frames.
const LONGEST_MTU: u16 = 3506;

/// Why a network cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The kernel keeps names in 16 bytes.
    #[error("the bridge's name {bridge:?} must have 1 to 15 bytes, without '/' and spaces")]
    Bridge {
        /// The name.
        bridge: String,
    },
    /// A gateway or range elsewhere.
    #[error("{what} must lie in the subnet {subnet}")]
    Outside {
        /// What lies elsewhere.
        what: String,
        /// Where it must lie.
        subnet: String,
    },
    /// Only one of `subnet6` and `gateway6`.
    #[error("subnet6 and gateway6 need each other: give both or none")]
    HalfIpv6,
    /// Too short for IPv6's minimum, or too long for native XDP.
    #[error("mtu {mtu} must be 1280 to {LONGEST_MTU}: longer frames keep native XDP off a veth")]
    Mtu {
        /// The MTU.
        mtu: u16,
    },
}

impl Network {
    /// Refuses what could not work.
    ///
    /// # Errors
    ///
    /// Names the first thing that is wrong.
    pub fn check(&self) -> Result<(), NetworkError> {
        let bridge = &self.bridge;
        let odd = |c: char| c == '/' || c.is_whitespace();
        if !(1..=15).contains(&bridge.len()) || bridge.contains(odd) {
            let bridge = bridge.clone();
            return Err(NetworkError::Bridge { bridge });
        }
        let outside = |what: String, subnet: String| Err(NetworkError::Outside { what, subnet });
        if !self.subnet.contains(&self.gateway) {
            return outside(format!("gateway {}", self.gateway), self.subnet.to_string());
        }
        if let Some(range) = self.range.filter(|range| !self.subnet.contains(range)) {
            return outside(format!("range {range}"), self.subnet.to_string());
        }
        match (self.subnet6, self.gateway6) {
            (Some(subnet), Some(gateway)) if !subnet.contains(&gateway) => {
                return outside(format!("gateway6 {gateway}"), subnet.to_string());
            }
            (Some(_), None) | (None, Some(_)) => return Err(NetworkError::HalfIpv6),
            _ => {}
        }
        if !(1280..=LONGEST_MTU).contains(&self.mtu) {
            return Err(NetworkError::Mtu { mtu: self.mtu });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        Network {
            bridge: "lb0".to_owned(),
            subnet: "10.77.0.0/24".parse().expect("a prefix"),
            gateway: "10.77.0.1".parse().expect("an address"),
            range: None,
            subnet6: None,
            gateway6: None,
            mtu: 1600,
        }
    }

    #[test]
    fn a_plain_network_is_accepted() {
        assert_eq!(network().check(), Ok(()));
    }

    #[test]
    fn an_mtu_that_keeps_native_xdp_off_is_refused() {
        let long = Network {
            mtu: 9000,
            ..network()
        };
        assert_eq!(long.check(), Err(NetworkError::Mtu { mtu: 9000 }));
    }

    #[test]
    fn a_gateway_elsewhere_is_refused() {
        let gateway = "10.78.0.1".parse().expect("an address");
        let error = Network {
            gateway,
            ..network()
        }
        .check()
        .expect_err("elsewhere");
        assert_eq!(
            error.to_string(),
            "gateway 10.78.0.1 must lie in the subnet 10.77.0.0/24"
        );
    }
}
