//! What an independent parser thinks of the frames that are sent on.

use std::net::IpAddr;

use etherparse::{
    EtherType, Ethernet2Slice, IpNumber, IpSlice, Ipv4HeaderSlice, Ipv4Slice, Ipv6HeaderSlice,
    LaxIpSlice, SingleVlanSlice, SlicedPacket, TcpSlice, TransportSlice, UdpSlice,
};

mod answers;
mod handed_on;
mod ways;

use answers::{answered, asks, says_too_large, told};
use handed_on::judge_handed_on;
pub(crate) use ways::Ways;

use crate::run::{Ran, Verdict};

/// An encapsulated packet, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Outer {
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    /// Of UDP, where there is any.
    pub(crate) source_port: Option<u16>,
    /// GUE's private data.
    pub(crate) private: Vec<u8>,
    /// The inner IP packet.
    pub(crate) inner: Vec<u8>,
}

/// Whether what came out may have been sent on: untouched, or a sound outer header around the
/// untouched packet.
pub(crate) fn judge(frame: &[u8], ran: &Ran) -> Result<(), String> {
    match ran.verdict {
        Verdict::Pass | Verdict::Drop if ran.frame == frame => Ok(()),
        Verdict::Pass | Verdict::Drop | Verdict::Mark => {
            Err("changed, and yet not sent".to_owned())
        }
        Verdict::Transmit | Verdict::Redirect => {
            if asks(ip_packet(frame)?) {
                return answered(frame, ran);
            }
            if says_too_large(ip_packet(&ran.frame)?) {
                return told(frame, &ran.frame);
            }
            let outer = encapsulated(&ran.frame)?;
            // Tags stay on the wire that they came by.
            let tags = match ran.verdict {
                Verdict::Transmit => tags(frame)?,
                _ => &[],
            };
            if self::tags(&ran.frame)? != tags {
                return Err(format!("other tags than {tags:02x?}"));
            }
            let packet = ip_packet(frame)?;
            if outer.inner != packet {
                return Err("the inner packet is not the one that came".to_owned());
            }
            sound(packet)?;
            if outer.source_port.is_some_and(|port| port < 0xc000) {
                return Err(format!("UDP source port of {outer:?}"));
            }
            if outer.ttl != 64 || outer.tos != tos(packet) {
                return Err(format!("TTL {}, TOS {:#x}", outer.ttl, outer.tos));
            }
            Ok(())
        }
    }
}

/// Whether what an agent made of a frame may go up the stack: untouched, or the very packet that
/// was inside.
pub(crate) fn judge_opened(frame: &[u8], ran: &Ran) -> Result<(), String> {
    if ran.frame == frame {
        return Ok(());
    }
    if ran.frame.len() == frame.len() {
        return judge_handed_on(frame, ran);
    }
    if ran.verdict != Verdict::Pass {
        return Err("changed, and yet dropped".to_owned());
    }
    if ran.frame[..12] != frame[..12] {
        return Err("other MAC addresses".to_owned());
    }
    let packet = ip_packet(&ran.frame)?;
    let padding = ran.frame.len() - 14 - packet.len();
    let outer = ip_packet(frame)?;
    let (_, _, protocol, payload) = network(outer)?;
    let (protocol, inner) = match protocol {
        IpNumber::UDP => match UdpSlice::from_slice(payload)
            .map_err(|e| e.to_string())?
            .payload()
        {
            [words, protocol, 0, 0, rest @ ..] if *words < 32 => {
                let private = usize::from(*words) * 4;
                (
                    *protocol,
                    rest.get(private..)
                        .ok_or("private data beyond the packet")?,
                )
            }
            other => return Err(format!("no GUE: {other:x?}")),
        },
        plain => (plain.0, payload),
    };
    let expected = if packet[0] >> 4 == 4 { 4 } else { 41 };
    let inner = &marked(inner, tos(outer) & 3, packet);
    if protocol != expected || !inner.starts_with(packet) {
        return Err(format!("protocol {protocol}, inner packet {inner:02x?}"));
    }
    let behind = frame.len() - 14 - outer.len();
    if inner.len() - packet.len() + behind != padding {
        return Err(format!("{padding} bytes of padding"));
    }
    Ok(())
}

/// An inner packet with the congestion that the outer header met in it (RFC 6040), and with the header checksum of what came
/// out, if that is as right as its own.
fn marked(inner: &[u8], outside: u8, out: &[u8]) -> Vec<u8> {
    let mut marked = inner.to_vec();
    let (at, shift) = if inner[0] >> 4 == 4 { (1, 0) } else { (1, 4) };
    let inside = inner[at] >> shift & 3;
    let bits = match (outside, inside) {
        (3, 1 | 2) => 3,
        (1, 2) => 1,
        _ => return marked,
    };
    marked[at] = inner[at] & !(3 << shift) | bits << shift;
    let header = usize::from(inner[0] & 0xf) * 4;
    if shift == 0
        && answers::summed_up(&[&inner[..header]]) == answers::summed_up(&[&out[..header]])
    {
        marked[10..12].copy_from_slice(&out[10..12]);
    }
    marked
}

/// Whether a SYN-ACK is what it was but for its MSS, and its checksum is right.
pub(crate) fn judge_clamped(frame: &[u8], ran: &Ran) -> Result<(), String> {
    if ran.frame == frame {
        return Ok(());
    }
    let packet = ip_packet(&ran.frame)?;
    let ip = IpSlice::from_slice(packet).map_err(|e| e.to_string())?;
    let tcp = TcpSlice::from_slice(ip.payload().payload).map_err(|e| e.to_string())?;
    let right = match (ip.source_addr(), ip.destination_addr()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            tcp.calc_checksum_ipv4(source.octets(), destination.octets())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            tcp.calc_checksum_ipv6(source.octets(), destination.octets())
        }
        _ => return Err("two families".to_owned()),
    };
    match right {
        Ok(right) if right == tcp.checksum() => Ok(()),
        other => Err(format!(
            "TCP checksum {:04x}, not {other:04x?}",
            tcp.checksum()
        )),
    }
}

/// Takes an encapsulated packet apart, and checks every length and checksum on the way.
pub(crate) fn encapsulated(frame: &[u8]) -> Result<Outer, String> {
    let packet = ip_packet(frame)?;
    let (ttl, tos, protocol, payload) = network(packet)?;
    if let Ok(ip) = Ipv4Slice::from_slice(packet) {
        let (said, sum) = (
            ip.header().header_checksum(),
            ip.header().to_header().calc_header_checksum(),
        );
        if said != sum {
            return Err(format!("header checksum {said:04x}, not {sum:04x}"));
        }
        if packet[6..8] != [0x40, 0] {
            return Err("the outer packet may be fragmented".to_owned());
        }
    }
    let mut outer = Outer {
        ttl,
        tos,
        source_port: None,
        private: Vec::new(),
        inner: payload.to_vec(),
    };
    let protocol = match protocol {
        IpNumber::UDP => {
            let udp = UdpSlice::from_slice(payload).map_err(|e| e.to_string())?;
            if usize::from(udp.length()) != payload.len() {
                return Err(format!("UDP length {} of {}", udp.length(), payload.len()));
            }
            if udp.checksum() != 0 || udp.destination_port() != 6080 {
                return Err("a UDP checksum, or another port".to_owned());
            }
            let [words @ 0..32, protocol, 0, 0, rest @ ..] = udp.payload() else {
                return Err("no GUE header without flags".to_owned());
            };
            let (private, inner) = rest
                .split_at_checked(usize::from(*words) * 4)
                .ok_or("private data beyond the packet")?;
            outer.source_port = Some(udp.source_port());
            outer.private = private.to_vec();
            outer.inner = inner.to_vec();
            IpNumber(*protocol)
        }
        plain => plain,
    };
    let version = outer.inner.first().map(|first| first >> 4);
    match (protocol, version) {
        (IpNumber::IPV4, Some(4)) | (IpNumber::IPV6, Some(6)) => Ok(outer),
        other => Err(format!("protocol and inner version {other:?}")),
    }
}

/// What stands behind the addresses of a frame, VLAN tags first: the type of what is behind them, and that.
fn behind_tags(frame: &[u8]) -> Result<(EtherType, &[u8]), String> {
    let ethernet = Ethernet2Slice::from_slice_without_fcs(frame).map_err(|e| e.to_string())?;
    let (mut ether_type, mut rest) = (ethernet.ether_type(), ethernet.payload_slice());
    while [EtherType::VLAN_TAGGED_FRAME, EtherType::PROVIDER_BRIDGING].contains(&ether_type) {
        let tag = SingleVlanSlice::from_slice(rest).map_err(|e| e.to_string())?;
        (ether_type, rest) = (tag.ether_type(), tag.payload_slice());
    }
    Ok((ether_type, rest))
}

/// The VLAN tags of a frame.
fn tags(frame: &[u8]) -> Result<&[u8], String> {
    let (_, rest) = behind_tags(frame)?;
    Ok(&frame[12..frame.len() - rest.len() - 2])
}

/// The IP packet of a frame, without the padding behind it.
pub(crate) fn ip_packet(frame: &[u8]) -> Result<&[u8], String> {
    let (ether_type, packet) = behind_tags(frame)?;
    let version = packet.first().map(|first| first >> 4);
    let length = match (ether_type.0, version) {
        // The header alone: what follows may be broken, and is the stack's business.
        (0x0800, Some(4)) => Ipv4HeaderSlice::from_slice(packet)
            .map_err(|e| e.to_string())?
            .total_len()
            .into(),
        (0x86dd, Some(6)) => {
            40 + usize::from(
                Ipv6HeaderSlice::from_slice(packet)
                    .map_err(|e| e.to_string())?
                    .payload_length(),
            )
        }
        other => return Err(format!("Ethernet type and version {other:x?}")),
    };
    packet
        .get(..length)
        .ok_or_else(|| "shorter than it says".to_owned())
}

/// Whether a TCP or UDP packet is sound from end to end.
fn sound(packet: &[u8]) -> Result<(), String> {
    let packet = &of_first(packet);
    let sliced = SlicedPacket::from_ip(packet).map_err(|e| e.to_string())?;
    if sliced.is_ip_payload_fragmented() {
        return Ok(());
    }
    match sliced.transport {
        Some(TransportSlice::Tcp(_) | TransportSlice::Udp(_)) => Ok(()),
        Some(TransportSlice::Icmpv4(error)) if [3, 11, 12].contains(&error.type_u8()) => {
            quotes(packet, &error.slice()[8..])
        }
        Some(TransportSlice::Icmpv6(error)) if (1..=4).contains(&error.type_u8()) => {
            quotes(packet, &error.slice()[8..])
        }
        other => Err(format!("no TCP and no UDP: {other:?}")),
    }
}

/// A later fragment with a next header that says nothing: only that of the first one counts (RFC 8200 section 4.5).
fn of_first(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let mut at = 40;
    let mut next = packet[6];
    while packet[0] >> 4 == 6 && [0, 43, 44, 60].contains(&next) && at + 8 <= packet.len() {
        if next == 44 {
            if packet[at + 2] != 0 || packet[at + 3] & 0xf8 != 0 {
                packet[at] = 17;
            }
            break;
        }
        next = packet[at];
        at += (usize::from(packet[at + 1]) + 1) * 8;
    }
    packet
}

/// Whether an error to an address quotes a TCP or UDP packet from there, ports and all.
fn quotes(packet: &[u8], quote: &[u8]) -> Result<(), String> {
    let to = IpSlice::from_slice(packet).map_err(|e| e.to_string())?;
    let (quoted, _) = LaxIpSlice::from_slice(quote).map_err(|e| e.to_string())?;
    let inside = quoted.payload();
    match inside.ip_number {
        IpNumber::TCP | IpNumber::UDP if inside.payload.len() >= 8 => {}
        other => {
            return Err(format!(
                "quotes {} bytes of {other:?}",
                inside.payload.len()
            ));
        }
    }
    match quoted.source_addr() == to.destination_addr() {
        true => Ok(()),
        false => Err(format!("quotes a packet of {}", quoted.source_addr())),
    }
}

/// Next hop's MAC, outer destination, and source port of UDP: by what way an encapsulated packet goes.
pub(crate) fn way(frame: &[u8]) -> Result<(IpAddr, Vec<u8>, Option<u16>), String> {
    let ip = IpSlice::from_slice(ip_packet(frame)?).map_err(|e| e.to_string())?;
    let port = encapsulated(frame)?.source_port;
    Ok((ip.destination_addr(), frame[..6].to_vec(), port))
}

fn tos(packet: &[u8]) -> u8 {
    match packet[0] >> 4 {
        4 => packet[1],
        _ => packet[0] << 4 | packet[1] >> 4,
    }
}

/// TTL, class, protocol, payload.
type Network<'a> = (u8, u8, IpNumber, &'a [u8]);

fn network(packet: &[u8]) -> Result<Network<'_>, String> {
    match IpSlice::from_slice(packet).map_err(|e| e.to_string())? {
        IpSlice::Ipv4(ip) => {
            let header = ip.header();
            if ip.is_payload_fragmented() {
                return Err("the outer packet is a fragment".to_owned());
            }
            Ok((
                header.ttl(),
                packet[1],
                header.protocol(),
                ip.payload().payload,
            ))
        }
        IpSlice::Ipv6(ip) => {
            let header = ip.header();
            Ok((
                header.hop_limit(),
                header.traffic_class(),
                header.next_header(),
                ip.payload().payload,
            ))
        }
    }
}
