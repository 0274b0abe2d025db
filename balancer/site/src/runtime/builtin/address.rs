//! Addresses of a subnet, handed out.

use std::net::{Ipv4Addr, Ipv6Addr};

use balancer_config::HostNetwork;

use crate::runtime::RuntimeError;

/// The first of the subnet that is free: neither taken, nor the gateway's, nor the subnet's first or last.
pub(super) fn choose(network: &HostNetwork, taken: &[Ipv4Addr]) -> Result<Ipv4Addr, RuntimeError> {
    let subnet = network.subnet;
    subnet
        .hosts()
        .find(|address| *address != network.gateway && !taken.contains(address))
        .ok_or_else(|| RuntimeError::NoAddress {
            subnet: subnet.to_string(),
        })
}

/// The IPv6 address with the same place in its subnet.
pub(super) fn ipv6_beside(network: &HostNetwork, address: Ipv4Addr) -> Option<Ipv6Addr> {
    let subnet = network.subnet6?;
    let place = u32::from(address) - u32::from(network.subnet.network());
    let address = Ipv6Addr::from(u128::from(subnet.network()) | (1 << 16) | u128::from(place));
    (subnet.contains(&address) && Some(address) != network.gateway6).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(subnet: &str) -> HostNetwork {
        HostNetwork {
            bridge: "lb0".to_owned(),
            subnet: subnet.parse().expect("a prefix"),
            gateway: Ipv4Addr::new(10, 0, 0, 1),
            subnet6: None,
            gateway6: None,
            mtu: 1600,
        }
    }

    #[test]
    fn addresses_are_handed_out_once_and_never_the_gateways() {
        let network = network("10.0.0.0/29");
        let mut taken = Vec::new();
        while let Ok(address) = choose(&network, &taken) {
            taken.push(address);
        }
        let last: Vec<u8> = taken.iter().map(|address| address.octets()[3]).collect();
        assert_eq!(last, [2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_full_subnet_is_named() {
        let network = network("10.0.0.0/30");
        let error = choose(&network, &[Ipv4Addr::new(10, 0, 0, 2)]).expect_err("full");
        assert!(
            error
                .to_string()
                .starts_with("no address is left in 10.0.0.0/30"),
            "{error}"
        );
    }
}
