//! Whether a packet stays where it is, or goes to somebody who may know its flow.

use network_types::{
    eth::EthHdr,
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
    udp::UdpHdr,
};

use super::{HandOn, Inner, Instance};
use crate::{
    Address, Frame, Reason,
    alternates::{self, Head},
    gue,
    parse::{self, Network},
};

/// What an instance's sockets know of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The flow is theirs: a connection, or a packet that answers their own SYN-ACK.
    Known,
    /// It was theirs or may become so: a socket in time-wait, or one that has sent another SYN-ACK.
    Weak,
    /// Nothing.
    Nothing,
}

/// A TCP segment whose flow is asked for; its fixed headers are within the frame.
#[derive(Clone, Copy, Debug)]
pub struct Segment<F> {
    /// Begins at the IP header.
    pub packet: F,
    /// Begins at the TCP header.
    pub segment: F,
    /// The client.
    pub source: Address,
    /// The VIP.
    pub destination: Address,
    /// Source and destination port, as a word loaded from the segment.
    pub ports: u32,
    /// Whether it is IPv4.
    pub ipv4: bool,
}

/// The alternates that came with a packet. Not an `Option`: the kernel wants every part of it written.
#[derive(Clone, Copy)]
pub(super) struct Carried {
    pub(super) head: Head,
    addresses: [Address; alternates::MOST],
}

/// Reads the private data of a GUE header, which ends `outer_length` bytes behind the outer header's start.
#[inline(always)]
pub(super) fn carried<F: Frame>(
    frame: F,
    outer: &Network,
    outer_length: usize,
) -> Result<Carried, Reason> {
    let ipv4 = outer.version_protocol == IpProto::Ipv4 as u8;
    let (header_length, address_length) = if ipv4 {
        (Ipv4Hdr::LEN, 4)
    } else {
        (Ipv6Hdr::LEN, 16)
    };
    let private = outer_length - outer.header_length - UdpHdr::LEN - gue::BASE_LENGTH;
    if private == 0 {
        return Ok(Carried::NOTHING);
    }
    // Behind options there are no alternates of ours: an edge sends none.
    let places = Places { ipv4 };
    let word: u32 = frame
        .skip(EthHdr::LEN + outer.header_length + UdpHdr::LEN + gue::BASE_LENGTH)
        .read(0)
        .ok_or(Reason::BadGueHeader)?;
    if !Head::is_ours(word) {
        return Ok(Carried::NOTHING);
    }
    if outer.header_length != header_length {
        return Err(Reason::BadAlternates);
    }
    let head = Head::parse(word, private, address_length).ok_or(Reason::BadAlternates)?;
    let mut addresses = [Address::default(); alternates::MOST];
    addresses[0] = places.read(frame, 0)?;
    if head.count > 1 {
        addresses[1] = places.read(frame, 1)?;
    }
    if head.count > 2 {
        addresses[2] = places.read(frame, 2)?;
    }
    if !head.is_final() && addresses.contains(&outer.destination) {
        return Err(Reason::BadAlternates);
    }
    Ok(Carried { head, addresses })
}

/// Where the alternates stand in a frame.
struct Places {
    ipv4: bool,
}

impl Places {
    #[inline(always)]
    fn read<F: Frame>(&self, frame: F, place: usize) -> Result<Address, Reason> {
        let address = if self.ipv4 {
            let at = HandOn::IPV4_HEAD + alternates::length(place, 4);
            frame.read(at).map(Address::from_ipv4_word)
        } else {
            let at = HandOn::IPV6_HEAD + alternates::length(place, 16);
            frame
                .read(at)
                .zip(frame.read(at + 8))
                .map(|(high, low)| Address([high, low]))
        };
        address.ok_or(Reason::BadGueHeader)
    }
}

impl Carried {
    /// No alternates: no private data, or none of ours.
    pub(super) const NOTHING: Self = Self {
        head: Head::NOTHING,
        addresses: [Address([0; 2]); alternates::MOST],
    };

    /// Whether there are none.
    #[inline(always)]
    pub(super) fn is_nothing(&self) -> bool {
        self.head.count == 0
    }

    /// The address at a place that is below the count.
    #[inline(always)]
    fn at(&self, place: u8) -> Address {
        match place {
            0 => self.addresses[0],
            1 => self.addresses[1],
            _ => self.addresses[2],
        }
    }
}

/// Gives where the packet goes; or, as an error, why it is delivered here.
#[inline(always)]
pub(super) fn judge<F: Frame, I: Instance<F>>(
    instance: &I,
    outer: &Network,
    carried: &Carried,
    inner: &Inner<F>,
) -> Result<HandOn, Reason> {
    let head = carried.head;
    let Some(segment) = segment(inner) else {
        return Err(Reason::Decapsulated);
    };
    if head.is_final() {
        return Err(Reason::NoAlternateLeft);
    }
    let evidence = instance.knows(&segment);
    if evidence == Evidence::Known {
        return Err(match head.was_handed_on() {
            true => Reason::SecondChance,
            false => Reason::Decapsulated,
        });
    }
    let weak = evidence == Evidence::Weak;
    let (next, reason, head, own_place) = if head.has_more() {
        let next = carried.at(head.visited);
        let place = Some(head.visited);
        (next, Reason::HandedOn, head.handed_on(weak), place)
    } else if weak && head.weak().is_none() {
        return Err(Reason::NoAlternateLeft);
    } else {
        // To whom has weak evidence, or else home.
        let next = carried.at(head.weak().unwrap_or(0));
        (next, Reason::ReturnedHome, head.returned(), None)
    };
    // An alternate that would not take it is none.
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

/// The segment inside, if it is one that an established connection may have sent.
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
    // The last byte of the fixed header, so that all of it is there.
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
