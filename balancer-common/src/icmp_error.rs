//! ICMP and ICMPv6 errors about a packet that a VIP sent (RFC 792, RFC 4443). The quoted headers tell the flow.

use network_types::{
    eth::EthHdr,
    ip::{IpProto, Ipv6Hdr},
};

use crate::{
    Frame, Reason,
    echo::HEADER,
    flow::Flow,
    parse::{self, Network, Packet},
};

/// Bytes of layer 4 that every error quotes at least. They include the ports.
const QUOTED: usize = 8;

/// Bytes of an IPv6 fragment header.
const FRAGMENT_HEADER: usize = 8;

/// Whether an ICMP type is an error to forward: unreachable, time exceeded, parameter problem, and packet too big for ICMPv6.
/// Redirects are not: they are for the host that sent the packet on this link, which is not the backend.
#[inline(always)]
pub(crate) fn is_error(kind: u8, ipv4: bool) -> bool {
    if ipv4 {
        kind == 3 || kind == 11 || kind == 12
    } else {
        matches!(kind, 1..=4)
    }
}

/// What an error quotes: the beginning of a TCP or UDP packet that the VIP sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The flow, in the direction of the client's packets.
    pub flow: Flow,
    /// TCP's sequence number, host order.
    pub sequence: u32,
    /// IPv4, or else IPv6.
    pub ipv4: bool,
}

/// The error as a packet of the flow that it quotes. So it goes to the backend of the client's packets, and can be handed on
/// like them.
///
/// # Errors
///
/// [`Reason::BadQuote`] if it does not quote the beginning of a TCP or UDP packet of the VIP.
#[inline(always)]
pub(crate) fn packet<F: Frame>(frame: F, network: &Network) -> Result<Packet, Reason> {
    let message = frame.skip(EthHdr::LEN + network.header_length);
    let quote = quote(message, network).ok_or(Reason::BadQuote)?;
    Ok(Packet {
        flow: quote.flow,
        version_protocol: network.version_protocol,
        tos: network.tos,
        length: network.length,
        continues: quote.flow.protocol == IpProto::Tcp as u8,
    })
}

/// What the ICMP error at the start of `message` quotes. `network` is the IP header in front of it.
#[inline(always)]
pub(crate) fn quote<F: Frame>(message: F, network: &Network) -> Option<Quote> {
    let quote = message.skip(HEADER);
    let ipv4 = network.version_protocol == IpProto::Ipv4 as u8;
    let quoted = if ipv4 {
        parse::ipv4(quote, 0)?
    } else {
        behind_fragment(quote, parse::ipv6(quote, 0)?)
    };
    let end = network.header_length + HEADER + quoted.header_length + QUOTED;
    let known = quoted.protocol == IpProto::Tcp as u8 || quoted.protocol == IpProto::Udp as u8;
    if !quoted.sound
        || !known
        || quoted.later_fragment
        || quoted.source != network.destination
        || quoted.length < quoted.header_length + QUOTED
        || end > network.length
    {
        return None;
    }
    let segment = quote.skip(quoted.header_length);
    let sequence: u32 = segment.read(4)?;
    let ports: u32 = segment.read(0)?;
    Some(Quote {
        flow: Flow {
            source: quoted.destination,
            destination: network.destination,
            ports: ports.rotate_left(16),
            protocol: quoted.protocol,
        },
        sequence: u32::from_be(sequence),
        ipv4,
    })
}

/// The quoted IPv6 header together with its fragment header, if it has one. A VIP's answers have no other extension header.
#[inline(always)]
fn behind_fragment<F: Frame>(quote: F, quoted: Network) -> Network {
    let mut quoted = quoted;
    if quoted.fragment
        && let Some([next, _, high, low]) = quote.read(Ipv6Hdr::LEN).map(u32::to_ne_bytes)
    {
        quoted.protocol = next;
        quoted.header_length += FRAGMENT_HEADER;
        quoted.later_fragment = high != 0 || low & 0xf8 != 0;
    }
    quoted
}
