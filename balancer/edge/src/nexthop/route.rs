//! Route look-up: what the kernel itself would do with a packet to one address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::{
    Handle, RouteMessageBuilder,
    packet_route::route::{
        RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
    },
};

use super::{NextHopError, kernel};

/// The way to one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The number of the interface it leaves by.
    pub(crate) interface: u32,
    /// Whose MAC address packets go to: the gateway, or the address itself when it is on-link.
    pub(crate) neighbour: IpAddr,
    /// The source address the kernel would choose.
    pub(crate) source: Option<IpAddr>,
    /// The route's own limit, in bytes of IP packet.
    pub(crate) mtu: Option<u32>,
}

/// The way to `address`; `None` when there is none or when it ends on this host.
pub(crate) async fn look_up(
    kernel: &Handle,
    address: IpAddr,
) -> Result<Option<Route>, NextHopError> {
    let question = match address {
        IpAddr::V4(v4) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(v4, 32)
            .build(),
        IpAddr::V6(v6) => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(v6, 128)
            .build(),
    };
    match kernel::single("a route", kernel.route().get(question).execute()).await {
        Ok(answer) => Ok(read(&answer, address)),
        // No route, or one of the kinds unreachable, blackhole, prohibit and throw.
        Err(error) if error.concerns_the_question() => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(answer: &RouteMessage, address: IpAddr) -> Option<Route> {
    if answer.header.kind != RouteType::Unicast {
        return None;
    }
    let (mut interface, mut neighbour, mut source, mut mtu) = (None, address, None, None);
    for attribute in &answer.attributes {
        match attribute {
            RouteAttribute::Oif(index) => interface = Some(*index),
            RouteAttribute::Gateway(gateway) => neighbour = ip(gateway)?,
            RouteAttribute::Via(RouteVia::Inet(gateway)) => neighbour = (*gateway).into(),
            RouteAttribute::Via(RouteVia::Inet6(gateway)) => neighbour = (*gateway).into(),
            // The way leads into another encapsulation, which XDP would leave out.
            RouteAttribute::Via(_) | RouteAttribute::EncapType(_) => return None,
            RouteAttribute::PrefSource(preferred) => source = ip(preferred),
            RouteAttribute::Metrics(metrics) => {
                mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(bytes) => Some(*bytes),
                    _ => None,
                });
            }
            _ => (),
        }
    }
    Some(Route {
        interface: interface?,
        neighbour,
        source,
        mtu,
    })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}
