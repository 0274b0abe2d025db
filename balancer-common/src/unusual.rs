//! What an edge does with a frame that is none of the plain ones: the decision of the program `unusual`, as a pure
//! function. `balance` hands such frames on, so that they cost the others nothing.

use network_types::{eth::EthHdr, ip::IpProto};

use crate::{
    Frame, Reason,
    echo::{self, Reply},
    edge::{self, Choice, Tables},
    extensions,
    flow::HashKey,
    parse::{Network, Packet},
    quoted,
    tags::{self, Tags},
};

/// What becomes of it.
#[derive(Clone, Copy, Debug)]
pub enum Fate<'a> {
    /// It goes to a backend.
    Sent(Choice<'a>),
    /// It is answered.
    Answered(Reply),
}

/// Whether a reason that a frame met on the main path may not be the last word.
#[inline(always)]
pub fn is_unusual<F: Frame>(frame: F, reason: Reason) -> bool {
    match reason {
        Reason::NotIp => tags::is_tagged(frame, 0),
        Reason::UnsupportedProtocol | Reason::Fragment => true,
        _ => false,
    }
}

/// tags -> VIP? -> what follows -> who takes it.
#[inline(always)]
pub fn judge<'a, F: Frame, T: Tables>(
    frame: F,
    tags: &Tags,
    tables: &'a T,
    key: &HashKey,
) -> Result<Fate<'a>, Reason> {
    let frame = frame.skip(tags.length);
    let mut network = edge::for_vip(frame, tables)?;
    network.check(frame)?;
    if network.version_protocol == IpProto::Ipv6 as u8 {
        network = extensions::behind(frame.skip(EthHdr::LEN), network)?;
    }
    if is_icmp(&network) {
        let packet = match icmp(frame, &network)? {
            Message::Request(reply) => return Ok(Fate::Answered(reply)),
            Message::Error(packet) => packet,
        };
        return edge::owner(tables, key, &packet).map(Fate::Sent);
    }
    edge::owner(tables, key, &network.transport(frame)?).map(Fate::Sent)
}

/// Whether an ICMP message of the header's own family follows.
#[inline(always)]
fn is_icmp(network: &Network) -> bool {
    let icmp = if network.version_protocol == IpProto::Ipv4 as u8 {
        IpProto::Icmp
    } else {
        IpProto::Ipv6Icmp
    };
    network.protocol == icmp as u8
}

/// What an ICMP message is.
enum Message {
    /// An echo request, and the reply to it.
    Request(Reply),
    /// An error, as a packet of the flow that it is about.
    Error(Packet),
}

#[inline(always)]
fn icmp<F: Frame>(frame: F, network: &Network) -> Result<Message, Reason> {
    if network.fragment {
        return Err(Reason::Fragment);
    }
    if network.length < network.header_length + echo::HEADER {
        return Err(Reason::BadTotalLength);
    }
    let message = frame.skip(EthHdr::LEN + network.header_length);
    let kind = message.read(0).ok_or(Reason::BadTotalLength)?;
    if quoted::is_error(kind, network.version_protocol == IpProto::Ipv4 as u8) {
        return quoted::packet(frame, network).map(Message::Error);
    }
    Reply::to(frame, network).map(Message::Request)
}
