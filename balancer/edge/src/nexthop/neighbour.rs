//! Neighbours: which MAC address an on-link address has.

use std::net::IpAddr;

use rtnetlink::{
    Handle,
    packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
    },
};

use futures::StreamExt;

use super::NextHopError;

/// An on-link address: the number of its interface, and the address itself, of either family.
pub(crate) type Place = (u32, IpAddr);

/// What the kernel knows of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Neighbour {
    /// Its MAC address.
    Known {
        /// Where to send to.
        mac: [u8; 6],
        /// Whether the kernel has not heard of it lately. Packets that XDP sends don't count as use, so the kernel
        /// would never look whether it still holds.
        stale: bool,
    },
    /// It is being asked right now.
    Resolving,
    /// Nothing: never asked, or the entry was collected as garbage.
    Missing,
    /// It did not answer.
    Failed,
}

impl Neighbour {
    /// Whether the kernel should be asked to find it out, or to find out whether it still holds.
    pub(crate) fn needs_asking(self) -> bool {
        match self {
            Self::Known { stale, .. } => stale,
            Self::Resolving => false,
            Self::Missing | Self::Failed => true,
        }
    }
}

/// Reads one entry of the neighbour table.
pub(crate) async fn look_up(
    kernel: &Handle,
    (interface, address): Place,
) -> Result<Neighbour, NextHopError> {
    let mut question = NeighbourMessage::default();
    question.header.family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    question.header.ifindex = interface;
    question
        .attributes
        .push(NeighbourAttribute::Destination(address.into()));
    // The library only offers to read the whole table, which may miss entries while it changes.
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetNeighbour(question));
    request.header.flags = NLM_F_REQUEST;
    let what = "a neighbour";
    let mut kernel = kernel.clone();
    let mut answers = kernel
        .request(request)
        .map_err(|error| NextHopError::from_rtnetlink(what, error))?;
    match answers.next().await.map(|answer| answer.payload) {
        Some(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(entry))) => {
            Ok(read(&entry))
        }
        Some(NetlinkPayload::Error(answer)) => {
            let error = NextHopError::Ask {
                what,
                source: answer.to_io(),
            };
            if error.concerns_the_question() {
                Ok(Neighbour::Missing)
            } else {
                Err(error)
            }
        }
        Some(other) => Err(NextHopError::NoAnswer {
            what,
            reason: format!("unexpected {other:?}"),
        }),
        None => Err(NextHopError::NoAnswer {
            what,
            reason: "it ended early".to_owned(),
        }),
    }
}

fn read(entry: &NeighbourMessage) -> Neighbour {
    let mac = entry
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(mac) => <[u8; 6]>::try_from(mac.as_slice()).ok(),
            _ => None,
        });
    let known = |stale| mac.map_or(Neighbour::Missing, |mac| Neighbour::Known { mac, stale });
    match entry.header.state {
        NeighbourState::Reachable
        | NeighbourState::Delay
        | NeighbourState::Probe
        | NeighbourState::Permanent => known(false),
        NeighbourState::Stale => known(true),
        NeighbourState::Incomplete => Neighbour::Resolving,
        NeighbourState::Failed => Neighbour::Failed,
        _ => Neighbour::Missing,
    }
}

/// Asks the kernel to resolve or confirm an entry, as `ip neigh replace ADDRESS dev INTERFACE use` does.
///
/// Returns once the kernel has begun; the answer shows in the table. Never for permanent entries: it would end that.
pub(crate) async fn ask(kernel: &Handle, (interface, address): Place) -> Result<(), NextHopError> {
    let request = kernel.neighbours().add(interface, address).replace();
    let request = request
        .state(NeighbourState::None)
        .flags(NeighbourFlags::Use);
    request
        .execute()
        .await
        .map_err(|error| NextHopError::from_rtnetlink("a neighbour's MAC address", error))
}
