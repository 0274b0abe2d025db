//! From the model's words to the ABI's.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use balancer_common::{Address, abi};
use balancer_core::{
    model::{Encapsulation, HashPolicy, Protocol, ServiceKey},
    reconcile::{self, BackendRecord, ServiceRecord},
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

/// A VIP's record, where these are all services.
pub(crate) fn vip(services: &BTreeMap<ServiceKey, ServiceRecord>, vip: IpAddr) -> abi::Vip {
    let port = |protocol| {
        let port = reconcile::only_by_source(services, vip, protocol);
        port.unwrap_or_default().to_be_bytes()
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
