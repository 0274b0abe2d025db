//! From the model's words to the ABI's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use balancer_common::{Address, abi};
use balancer_core::{
    model::{Encapsulation, HashPolicy, Protocol, ServiceKey},
    reconcile::{BackendRecord, ServiceRecord},
};

use super::Region;

/// A service's key as packets have it.
pub(crate) fn service_key(key: &ServiceKey) -> abi::ServiceKey {
    abi::ServiceKey::new(
        key.vip.into(),
        key.port.to_be_bytes(),
        key.protocol.number(),
    )
}

/// The word of a service whose table is in this region.
pub(crate) fn service(record: ServiceRecord, table: Region) -> abi::Service {
    let by_source = record.hash == HashPolicy::Source;
    abi::Service::new(table.first, table.slots(), by_source)
}

/// The record of a VIP that has these services: where fragments without ports go. To the only service of their protocol, if that
/// hashes by source; beside another one they could be of either.
pub(crate) fn vip(services: &[(abi::ServiceKey, abi::Service)]) -> abi::Vip {
    let port = |protocol: Protocol| {
        let mut of = (services.iter()).filter(|(key, _)| key.protocol() == protocol.number());
        match (of.next(), of.next()) {
            (Some((key, service)), None) if service.is_by_source() => key.port(),
            _ => [0; 2],
        }
    };
    abi::Vip {
        tcp: port(Protocol::Tcp),
        udp: port(Protocol::Udp),
    }
}

/// A backend's record; one without a next hop drops its packets as `no_next_hop`.
pub(crate) fn backend(record: &BackendRecord) -> abi::Backend {
    let outer = match (record.encapsulation, record.address) {
        (Encapsulation::Gue, IpAddr::V4(_)) => abi::outer::GUE_IPV4,
        (Encapsulation::Gue, IpAddr::V6(_)) => abi::outer::GUE_IPV6,
        (Encapsulation::Ipip, _) => abi::outer::IPV4,
        (Encapsulation::Ip6ip6 | Encapsulation::Ip4in6, _) => abi::outer::IPV6,
    };
    let unspecified: IpAddr = match record.address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = record
        .next_hop
        .as_ref()
        .map_or(unspecified, |hop| hop.source);
    let backend = abi::Backend::new(outer, Address::from(source), Address::from(record.address));
    match &record.next_hop {
        Some(hop) => backend
            .varying(hop.source_bits)
            .via(hop.interface, hop.destination_mac, hop.source_mac, hop.mtu)
            .tagged(hop.tags),
        None => backend,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_without_ports_go_to_a_vips_only_service_of_their_protocol_if_it_hashes_by_source()
    {
        let service = |port: u16, protocol: Protocol, by_source| {
            let vip = IpAddr::from([198, 51, 100, 10]).into();
            (
                abi::ServiceKey::new(vip, port.to_be_bytes(), protocol.number()),
                abi::Service::new(0, 256, by_source),
            )
        };
        let ports = |services: &[_]| {
            let abi::Vip { tcp, udp } = vip(services);
            [tcp, udp].map(u16::from_be_bytes)
        };
        let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
        assert_eq!(
            ports(&[service(53, udp, true), service(53, tcp, false)]),
            [0, 53]
        );
        assert_eq!(
            ports(&[
                service(53, tcp, true),
                service(53, udp, true),
                service(54, udp, true)
            ]),
            [53, 0]
        );
        assert_eq!(ports(&[]), [0, 0]);
    }
}
