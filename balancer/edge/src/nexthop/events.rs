//! What may have changed in the kernel's routes, neighbours, links, addresses or rules.

use std::{collections::BTreeSet, io, net::IpAddr};

use futures::FutureExt;
use ipnet::IpNet;
use rtnetlink::{
    MulticastGroup,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        route::{RouteAddress, RouteAttribute, RouteMessage},
    },
    sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE},
};

use tokio::task::unconstrained;

use super::NextHopError;

const GROUPS: [MulticastGroup; 9] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv6Rule,
    MulticastGroup::Nexthop,
];

/// Read at most this many events of a burst in one go; what is left wakes the next round.
const BURST: usize = 4_096;

/// Routes that may no longer be as the kernel last gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// Any route.
    pub(crate) all: bool,
    /// Routes to addresses in these prefixes.
    pub(crate) prefixes: BTreeSet<IpNet>,
}

impl Doubt {
    /// A route's event concerns its prefix alone, a neighbour's no route; a link, an address, a rule or anything that is
    /// not understood may concern every route.
    fn take_in(&mut self, datagram: &[u8]) {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(datagram);
        // The kernel puts one event into a datagram.
        let message = message.ok().filter(|message| {
            let length = message.header.length as usize;
            length.next_multiple_of(4) >= datagram.len()
        });
        let prefix = match message.map(|message| message.payload) {
            Some(NetlinkPayload::InnerMessage(
                RouteNetlinkMessage::NewNeighbour(_) | RouteNetlinkMessage::DelNeighbour(_),
            )) => return,
            Some(NetlinkPayload::InnerMessage(
                RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route),
            )) => destination(&route),
            _ => None,
        };
        match prefix {
            Some(prefix) => {
                self.prefixes.insert(prefix);
            }
            None => self.all = true,
        }
    }
}

/// The prefix that a route leads to.
fn destination(route: &RouteMessage) -> Option<IpNet> {
    let address = route
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(v4)) => Some(IpAddr::from(*v4)),
            RouteAttribute::Destination(RouteAddress::Inet6(v6)) => Some(IpAddr::from(*v6)),
            _ => None,
        });
    let any: IpAddr = match route.header.address_family {
        AddressFamily::Inet => [0; 4].into(),
        AddressFamily::Inet6 => [0; 16].into(),
        _ => return None,
    };
    IpNet::new(
        address.unwrap_or(any),
        route.header.destination_prefix_length,
    )
    .ok()
}

/// A socket that the kernel tells of changes.
pub(crate) struct Events {
    socket: TokioSocket,
    buffer: Vec<u8>,
    doubt: Doubt,
}

impl Events {
    pub(crate) fn open() -> Result<Self, NextHopError> {
        let open = || {
            let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
            socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
            for group in GROUPS {
                socket.socket_mut().add_membership(group as u32)?;
            }
            Ok(socket)
        };
        let socket = open().map_err(|source| NextHopError::Open { source })?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(4_096),
            doubt: Doubt::default(),
        })
    }

    /// Waits for a change and notes what it concerns. An error is a broken socket.
    pub(crate) async fn next(&mut self) -> Result<(), NextHopError> {
        self.buffer.clear();
        match self.socket.recv(&mut self.buffer).await {
            Ok(()) => {
                self.doubt.take_in(&self.buffer);
                Ok(())
            }
            // More came than the socket holds, and nobody knows what.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.doubt.all = true;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(source) => Err(NextHopError::Ask {
                what: "changes",
                source,
            }),
        }
    }

    /// What all changes since the last call concern, with those that are there already.
    pub(crate) fn take(&mut self) -> Doubt {
        for _ in 0..BURST {
            // Tokio would have it pause after a hundred.
            let next = unconstrained(self.next()).now_or_never();
            if !matches!(next, Some(Ok(()))) {
                break;
            }
        }
        std::mem::take(&mut self.doubt)
    }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::{
        link::LinkMessage, neighbour::NeighbourMessage, rule::RuleMessage,
    };

    use super::*;

    /// What an event makes doubtful.
    fn doubt(event: RouteNetlinkMessage) -> Doubt {
        doubt_of_bytes(&datagram(event))
    }

    fn doubt_of_bytes(datagram: &[u8]) -> Doubt {
        let mut doubt = Doubt::default();
        doubt.take_in(datagram);
        doubt
    }

    fn datagram(event: RouteNetlinkMessage) -> Vec<u8> {
        let mut message = NetlinkMessage::from(event);
        message.finalize();
        let mut datagram = vec![0; message.buffer_len()];
        message.serialize(&mut datagram);
        datagram
    }

    fn route(family: AddressFamily, length: u8, address: Option<IpAddr>) -> RouteMessage {
        let mut route = RouteMessage::default();
        route.header.address_family = family;
        route.header.destination_prefix_length = length;
        let address = address.map(|address| match address {
            IpAddr::V4(v4) => RouteAddress::Inet(v4),
            IpAddr::V6(v6) => RouteAddress::Inet6(v6),
        });
        let destination = address.map(RouteAttribute::Destination);
        route.attributes.extend(destination);
        route
    }

    fn prefix(text: &str) -> Doubt {
        Doubt {
            all: false,
            prefixes: [text.parse().expect("a prefix")].into(),
        }
    }

    fn everything() -> Doubt {
        Doubt {
            all: true,
            ..Doubt::default()
        }
    }

    #[test]
    fn a_route_concerns_its_prefix_a_neighbour_no_route_and_anything_else_all() {
        let v4 = route(AddressFamily::Inet, 24, Some([10, 9, 1, 0].into()));
        for event in [RouteNetlinkMessage::NewRoute, RouteNetlinkMessage::DelRoute] {
            assert_eq!(doubt(event(v4.clone())), prefix("10.9.1.0/24"));
        }
        let v6 = "fd09::".parse().ok();
        let v6 = route(AddressFamily::Inet6, 48, v6);
        assert_eq!(
            doubt(RouteNetlinkMessage::NewRoute(v6)),
            prefix("fd09::/48")
        );
        for (family, any) in [
            (AddressFamily::Inet, "0.0.0.0/0"),
            (AddressFamily::Inet6, "::/0"),
        ] {
            let default = route(family, 0, None);
            assert_eq!(doubt(RouteNetlinkMessage::DelRoute(default)), prefix(any));
        }
        let of_mpls = route(AddressFamily::Mpls, 20, None);
        assert_eq!(doubt(RouteNetlinkMessage::NewRoute(of_mpls)), everything());
        let neighbour = NeighbourMessage::default();
        let new = RouteNetlinkMessage::NewNeighbour(neighbour.clone());
        assert_eq!(doubt(new), Doubt::default());
        let gone = RouteNetlinkMessage::DelNeighbour(neighbour);
        assert_eq!(doubt(gone), Doubt::default());
        let link = RouteNetlinkMessage::NewLink(LinkMessage::default());
        assert_eq!(doubt(link), everything());
        let rule = RouteNetlinkMessage::NewRule(RuleMessage::default());
        assert_eq!(doubt(rule), everything());
    }

    #[test]
    fn what_is_cut_off_or_more_than_one_message_concerns_all() {
        let neighbour = RouteNetlinkMessage::NewNeighbour(NeighbourMessage::default());
        let whole = datagram(neighbour);
        for length in 0..whole.len() {
            assert_eq!(
                doubt_of_bytes(&whole[..length]),
                everything(),
                "{length} bytes"
            );
        }
        let two = [whole.clone(), whole].concat();
        assert_eq!(doubt_of_bytes(&two), everything());
    }
}
