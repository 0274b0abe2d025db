//! Second chance: whether the agent delivers a packet here or hands it on to an alternate that may know its flow.

use network_types::{ip::IpProto, tcp::TcpHdr, udp::UdpHdr};

use super::{HandOn, Inner, Instance};
use crate::{
    Address, Frame, Reason,
    alternates::{self, Head},
    gue,
    icmp_error::{self, Quote},
    parse::{self, Network},
};

/// What an instance's sockets tell about a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The flow is here: an established connection, or a packet that answers this host's own SYN-ACK.
    Known,
    /// The flow was here or may come to be: a socket in TIME_WAIT, or a request socket that sent another SYN-ACK.
    Weak,
    /// No socket knows the flow.
    Nothing,
}

/// A TCP segment whose flow is looked up. Its fixed headers are within the frame.
#[derive(Clone, Copy, Debug)]
pub struct Segment<F> {
    /// The packet from its IP header on.
    pub packet: F,
    /// The packet from its TCP header on.
    pub segment: F,
    /// The client.
    pub source: Address,
    /// The VIP.
    pub destination: Address,
    /// Source and destination port, as a word loaded from the segment.
    pub ports: u32,
    /// IPv4, or else IPv6.
    pub ipv4: bool,
}

/// Reads the first word of the GUE header's private data, of `private` bytes. The outer header has no options. Returns
/// [`Head::NOTHING`] if the private data is not ours.
#[inline(always)]
pub(super) fn carried<F: Frame>(frame: F, outer: &Network, private: usize) -> Result<Head, Reason> {
    let places = Places::of(outer);
    let word = frame.read(places.head()).ok_or(Reason::BadGueHeader)?;
    if !Head::is_ours(word) {
        return Ok(Head::NOTHING);
    }
    let head = Head::parse(word, private, places.address_length()).ok_or(Reason::BadAlternates)?;
    let is_own = |place| places.read(frame, place).map(|it| it == outer.destination);
    // The last place first: one bounds check then covers all three. It is within the frame, because a segment follows.
    let third = is_own(2)? && head.count > 2;
    let second = is_own(1)? && head.count > 1;
    let names_itself = third || second || is_own(0)?;
    if !head.is_final() && names_itself {
        return Err(Reason::BadAlternates);
    }
    Ok(head)
}

/// Whether the GUE header's private data is ours. `udp` begins at the UDP header.
#[inline(always)]
pub(super) fn is_carried<F: Frame>(udp: F) -> Result<bool, Reason> {
    let word = udp.read(UdpHdr::LEN + gue::BASE_LENGTH);
    word.map(Head::is_ours).ok_or(Reason::BadGueHeader)
}

/// The offsets of the alternates in a frame.
#[derive(Clone, Copy)]
struct Places {
    ipv4: bool,
}

impl Places {
    #[inline(always)]
    fn of(outer: &Network) -> Self {
        Self {
            ipv4: outer.version_protocol == IpProto::Ipv4 as u8,
        }
    }

    /// Offset of the first word.
    #[inline(always)]
    fn head(self) -> usize {
        if self.ipv4 {
            HandOn::IPV4_HEAD
        } else {
            HandOn::IPV6_HEAD
        }
    }

    /// Bytes of an alternate.
    #[inline(always)]
    fn address_length(self) -> usize {
        if self.ipv4 { 4 } else { 16 }
    }

    /// The alternate at `place`.
    #[inline(always)]
    fn read<F: Frame>(self, frame: F, place: u8) -> Result<Address, Reason> {
        match place {
            0 => self.read_at::<0, _>(frame),
            1 => self.read_at::<1, _>(frame),
            _ => self.read_at::<2, _>(frame),
        }
        .ok_or(Reason::BadGueHeader)
    }

    #[inline(always)]
    fn read_at<const PLACE: usize, F: Frame>(self, frame: F) -> Option<Address> {
        if self.ipv4 {
            let at = HandOn::IPV4_HEAD + alternates::length(PLACE, 4);
            frame.read(at).map(Address::from_ipv4_word)
        } else {
            let at = HandOn::IPV6_HEAD + alternates::length(PLACE, 16);
            Some(Address([frame.read(at)?, frame.read(at + 8)?]))
        }
    }
}

/// Returns where to hand the packet on to, or, as the error, the reason why it is delivered here.
#[inline(always)]
pub(super) fn judge<F: Frame, I: Instance<F>>(
    frame: F,
    instance: &I,
    outer: &Network,
    head: Head,
    inner: &Inner<F>,
) -> Result<HandOn, Reason> {
    // Separate branches for segments and errors, so that the many segments do not pay for the few errors.
    let evidence = if let Some(segment) = segment(inner) {
        if head.is_final() {
            return Err(Reason::NoAlternateLeft);
        }
        instance.knows(&segment)
    } else if let Some(quote) = quote(inner) {
        if head.is_final() {
            return Err(Reason::NoAlternateLeft);
        }
        instance.knows_quoted(&quote)
    } else {
        return Err(Reason::Decapsulated);
    };
    if evidence == Evidence::Known {
        return Err(match head.was_handed_on() {
            true => Reason::SecondChance,
            false => Reason::Decapsulated,
        });
    }
    let places = Places::of(outer);
    let weak = evidence == Evidence::Weak;
    let (next, reason, head, own_place) = if head.has_more() {
        let next = places.read(frame, head.visited)?;
        let place = Some(head.visited);
        (next, Reason::HandedOn, head.handed_on(weak), place)
    } else if weak && head.weak().is_none() {
        return Err(Reason::NoAlternateLeft);
    } else {
        // Back to the backend with weak evidence, or else home.
        let next = places.read(frame, head.weak().unwrap_or(0))?;
        (next, Reason::ReturnedHome, head.returned(), None)
    };
    // An address that is no peer would not accept the packet.
    if !instance.is_peer(&next) {
        return Err(Reason::NoAlternateLeft);
    }
    Ok(HandOn {
        next,
        own: outer.destination,
        own_place,
        head,
        length: outer.length,
        tos: outer.tos,
        reason,
    })
}

/// The inner TCP segment, if an established connection may have sent it.
#[inline(always)]
fn segment<F: Frame>(inner: &Inner<F>) -> Option<Segment<F>> {
    let network = &inner.network;
    if network.protocol != IpProto::Tcp as u8
        || network.fragment
        || network.length < network.header_length + TcpHdr::LEN
    {
        return None;
    }
    let segment = inner.packet.skip(network.header_length);
    // Reads the end of the fixed header, so that all of it is known to be there.
    segment.read::<u32>(TcpHdr::LEN - 4)?;
    if !parse::continues(segment.read(13)?) {
        return None;
    }
    Some(Segment {
        packet: inner.packet,
        segment,
        source: network.source,
        destination: network.destination,
        ports: segment.read(0)?,
        ipv4: network.version_protocol == IpProto::Ipv4 as u8,
    })
}

/// What the inner packet quotes of a TCP connection, if it is an ICMP error.
#[inline(always)]
fn quote<F: Frame>(inner: &Inner<F>) -> Option<Quote> {
    let network = &inner.network;
    let ipv4 = network.version_protocol == IpProto::Ipv4 as u8;
    let icmp = if ipv4 {
        IpProto::Icmp
    } else {
        IpProto::Ipv6Icmp
    };
    if network.protocol != icmp as u8 || network.fragment {
        return None;
    }
    let message = inner.packet.skip(network.header_length);
    if !icmp_error::is_error(message.read(0)?, ipv4) {
        return None;
    }
    icmp_error::quote(message, network).filter(|quote| quote.flow.protocol == IpProto::Tcp as u8)
}
