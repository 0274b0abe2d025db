//! The ICMP error that tells a client that its packet is too large for the path to its backend (RFC 792 with RFC 1191, RFC 4443
//! with RFC 8201).

use network_types::{
    eth::{EthHdr, EtherType},
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
};

use crate::{
    Address, Frame, FrameMut, Reason,
    abi::{Backend, outer},
    alternates, checksum,
    echo::HEADER,
    edge::{self, Tables},
    extensions,
    flow::HashKey,
    tags::Tags,
};

/// Bytes of the packet that the message quotes: enough for all headers, and few enough for a message below 576 bytes.
pub const QUOTE: usize = 512;

/// Rate limit of messages for each CPU: a rate and a burst. Both are the kernel's own limits for a host.
const PER_SECOND: u64 = 1_000;
const BURST: u64 = 50;

/// The don't-fragment flag of an IPv4 header, as loaded from it.
const DONT_FRAGMENT: u16 = 0x4000_u16.to_be();

/// An ICMP error about a packet that is too large.
#[derive(Clone, Copy, Debug)]
pub struct Notice {
    /// IPv4, or else IPv6.
    pub ipv4: bool,
    /// The longest packet that fits with any number of alternates, in bytes.
    pub mtu: u16,
    vip: Address,
    client: Address,
}

/// The message about a packet that met [`Reason::TooLarge`].
///
/// # Errors
///
/// [`Reason::TooLarge`] if no message may be sent: for IPv4 without don't-fragment, a fragment, an ICMP message, or a packet
/// that is too short to quote.
#[inline(always)]
pub fn notice<F: Frame, T: Tables>(
    frame: F,
    tags: &Tags,
    tables: &T,
    key: &HashKey,
) -> Result<Notice, Reason> {
    let frame = frame.skip(tags.length);
    let mut network = edge::for_vip(frame, tables)?;
    network.check(frame)?;
    let ipv4 = network.version_protocol == IpProto::Ipv4 as u8;
    if ipv4 {
        let flags: u16 = frame.read(EthHdr::LEN + 6).ok_or(Reason::BadTotalLength)?;
        if flags & DONT_FRAGMENT == 0 {
            return Err(Reason::TooLarge);
        }
    } else {
        network = extensions::behind(frame.skip(EthHdr::LEN), network)?;
    }
    let known = network.protocol == IpProto::Tcp as u8 || network.protocol == IpProto::Udp as u8;
    if network.fragment || !known || network.length < QUOTE {
        return Err(Reason::TooLarge);
    }
    // The quoted bytes must be in the first buffer.
    if frame.read::<u8>(EthHdr::LEN + QUOTE - 1).is_none() {
        return Err(Reason::TooLarge);
    }
    let packet = network.segment(frame)?;
    let service = edge::service(tables, &packet.flow)?;
    let slot = edge::slot(service, edge::hash(service, &packet.flow, key));
    let row = tables.slot(service.table, slot).ok_or(Reason::NoTable)?;
    let backend = tables.backend(row.owner()).ok_or(Reason::NoBackend)?;
    let mtu = fits(backend);
    if mtu == 0 {
        return Err(Reason::TooLarge);
    }
    Ok(Notice {
        ipv4,
        mtu,
        vip: network.destination,
        client: network.source,
    })
}

/// The longest packet that fits with the most alternates, in bytes.
#[inline(always)]
fn fits(backend: &Backend) -> u16 {
    let room = match backend.kind() {
        outer::GUE_IPV4 => alternates::length(alternates::MAX_ALTERNATES, 4),
        outer::GUE_IPV6 => alternates::length(alternates::MAX_ALTERNATES, 16),
        _ => 0,
    };
    backend.longest_inner.saturating_sub(room as u16)
}

impl Notice {
    /// Bytes before the quote, with the Ethernet header and without tags, for IPv4.
    pub const IPV4: usize = EthHdr::LEN + Ipv4Hdr::LEN + HEADER;
    /// The same for IPv6.
    pub const IPV6: usize = EthHdr::LEN + Ipv6Hdr::LEN + HEADER;

    /// Writes everything before the quote except the Ethernet addresses. `frame` begins at these, without tags, and has at
    /// least [`Self::IPV4`] or [`Self::IPV6`] bytes. `quote` is the sum of the quote's 16-bit words as loaded.
    #[inline(always)]
    pub fn write<M: FrameMut + ?Sized>(&self, frame: &mut M, quote: u32) {
        if self.ipv4 {
            self.write_ipv4(frame, quote);
        } else {
            self.write_ipv6(frame, quote);
        }
    }

    #[inline(always)]
    fn write_ipv4<M: FrameMut + ?Sized>(&self, frame: &mut M, quote: u32) {
        let length = ((Ipv4Hdr::LEN + HEADER + QUOTE) as u16).to_be();
        let (vip, client) = (self.vip.ipv4_word(), self.client.ipv4_word());
        // All sums are of words as loaded, because the Internet checksum does not depend on byte order.
        let first = 0x4500_u16.to_be();
        let ttl = 0x4001_u16.to_be();
        let sum = first as u32
            + length as u32
            + DONT_FRAGMENT as u32
            + ttl as u32
            + halves(vip as u64)
            + halves(client as u64);
        let ip = EthHdr::LEN;
        frame.write(12, EtherType::Ipv4 as u16);
        frame.write(ip, first);
        frame.write(ip + 2, length);
        frame.write(ip + 4, 0_u16);
        frame.write(ip + 6, DONT_FRAGMENT);
        frame.write(ip + 8, ttl);
        frame.write(ip + 10, checksum::finish(sum));
        frame.write(ip + 12, vip);
        frame.write(ip + 16, client);
        let icmp = ip + Ipv4Hdr::LEN;
        let (kind, mtu) = (0x0304_u16.to_be(), self.mtu.to_be());
        let sum = kind as u32 + mtu as u32 + halves(quote as u64);
        frame.write(icmp, kind);
        frame.write(icmp + 2, checksum::finish(sum));
        frame.write(icmp + 4, 0_u16);
        frame.write(icmp + 6, mtu);
    }

    #[inline(always)]
    fn write_ipv6<M: FrameMut + ?Sized>(&self, frame: &mut M, quote: u32) {
        let length = ((HEADER + QUOTE) as u16).to_be();
        let (vip, client) = (self.vip.0, self.client.0);
        let ip = EthHdr::LEN;
        frame.write(12, EtherType::Ipv6 as u16);
        frame.write(ip, 0x6000_0000_u32.to_be());
        frame.write(ip + 4, length);
        frame.write(ip + 6, IpProto::Ipv6Icmp as u8);
        frame.write(ip + 7, 64_u8);
        frame.write(ip + 8, vip[0]);
        frame.write(ip + 16, vip[1]);
        frame.write(ip + 24, client[0]);
        frame.write(ip + 32, client[1]);
        let icmp = ip + Ipv6Hdr::LEN;
        let (kind, mtu) = (0x0200_u16.to_be(), self.mtu.to_be());
        let next = (IpProto::Ipv6Icmp as u16).to_be();
        let sum = kind as u32
            + mtu as u32
            + length as u32
            + next as u32
            + halves(vip[0])
            + halves(vip[1])
            + halves(client[0])
            + halves(client[1])
            + halves(quote as u64);
        frame.write(icmp, kind);
        frame.write(icmp + 2, checksum::finish(sum));
        frame.write(icmp + 4, 0_u16);
        frame.write(icmp + 6, mtu);
    }
}

/// The sum of a word's 16-bit parts.
#[inline(always)]
fn halves(word: u64) -> u32 {
    ((word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48)) as u32
}

/// A token bucket that is kept as one time: `due` is when the messages sent so far are paid for. Returns the new `due` if a
/// message may be sent at `now`. Both are nanoseconds of a monotonic clock.
#[inline(always)]
pub fn allowed(due: u64, now: u64) -> Option<u64> {
    const EACH: u64 = 1_000_000_000 / PER_SECOND;
    let due = if due > now { due } else { now };
    (due - now <= (BURST - 1) * EACH).then_some(due + EACH)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: E19
    #[test]
    fn a_burst_is_allowed_and_then_one_a_millisecond() {
        let (mut due, mut sent) = (0, 0);
        let mut send = |now| {
            let next = allowed(due, now);
            due = next.unwrap_or(due);
            next.is_some()
        };
        while send(7) {
            sent += 1;
        }
        assert_eq!(sent, 50);
        assert!(!send(900_000));
        assert!(send(1_000_008) && !send(1_000_009));
        // A long silence earns no more than a burst.
        sent = 0;
        while send(3_600_000_000_000) {
            sent += 1;
        }
        assert_eq!(sent, 50);
    }

    // Promise: E19
    #[test]
    fn room_is_left_for_three_alternates() {
        let of = |outer| {
            let (a, b) = (Address::default(), Address::default());
            fits(&Backend::new(outer, a, b).via(1, [0; 6], [0; 6], 1_500))
        };
        assert_eq!(of(outer::IPV4), 1_480);
        assert_eq!(of(outer::IPV6), 1_460);
        assert_eq!(of(outer::GUE_IPV4), 1_452);
        assert_eq!(of(outer::GUE_IPV6), 1_396);
    }
}
