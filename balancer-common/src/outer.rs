//! The outer headers that an edge puts in front of a packet, including the Ethernet header.

use network_types::{
    eth::{EthHdr, EtherType},
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    udp::UdpHdr,
};

use crate::{
    FrameMut,
    abi::Backend,
    alternates::{self, Head},
    checksum, gue,
};

/// The properties of the inner packet that its outer header depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inner {
    /// Bytes of the inner IP packet.
    pub length: usize,
    /// Its type of service or traffic class, which is copied to the outer header (RFC 6040 section 4.1, normal mode).
    pub tos: u8,
    /// 4 for IPv4, 41 for IPv6.
    pub protocol: u8,
    /// The flow's hash. Its low bits spread flows over the fabric's paths.
    pub hash: u64,
}

/// One kind of outer header.
pub trait Outer {
    /// Bytes by which a packet grows.
    const LENGTH: usize;

    /// Writes the Ethernet header and the outer header: `frame` begins at the Ethernet header and
    /// has at least 14 + [`Self::LENGTH`] bytes.
    fn write<M: FrameMut + ?Sized>(frame: &mut M, backend: &Backend, inner: &Inner);
}

/// IPv4 in IPv4 (RFC 2003).
#[derive(Clone, Copy, Debug)]
pub struct Ipv4;

/// IPv4 or IPv6 in IPv6 (RFC 2473).
#[derive(Clone, Copy, Debug)]
pub struct Ipv6;

/// IPv4 or IPv6 in GUE over IPv4.
#[derive(Clone, Copy, Debug)]
pub struct GueIpv4;

/// IPv4 or IPv6 in GUE over IPv6.
#[derive(Clone, Copy, Debug)]
pub struct GueIpv6;

/// Bytes of UDP and GUE headers.
const UDP_GUE: usize = UdpHdr::LEN + gue::BASE_LENGTH;

impl Outer for Ipv4 {
    const LENGTH: usize = Ipv4Hdr::LEN;

    #[inline(always)]
    fn write<M: FrameMut + ?Sized>(frame: &mut M, backend: &Backend, inner: &Inner) {
        write_ethernet(frame, backend, EtherType::Ipv4);
        write_ipv4(
            frame,
            backend,
            inner.length + Self::LENGTH,
            inner.tos,
            IpProto::Ipv4,
            varied(backend, inner),
        );
    }
}

impl Outer for Ipv6 {
    const LENGTH: usize = Ipv6Hdr::LEN;

    #[inline(always)]
    fn write<M: FrameMut + ?Sized>(frame: &mut M, backend: &Backend, inner: &Inner) {
        write_ethernet(frame, backend, EtherType::Ipv6);
        let host = varied(backend, inner);
        write_ipv6(frame, backend, inner, inner.length, inner.protocol, host);
    }
}

impl Outer for GueIpv4 {
    const LENGTH: usize = Ipv4Hdr::LEN + UDP_GUE;

    #[inline(always)]
    fn write<M: FrameMut + ?Sized>(frame: &mut M, backend: &Backend, inner: &Inner) {
        write_ethernet(frame, backend, EtherType::Ipv4);
        write_ipv4(
            frame,
            backend,
            inner.length + Self::LENGTH,
            inner.tos,
            IpProto::Udp,
            0,
        );
        write_gue(frame, EthHdr::LEN + Ipv4Hdr::LEN, inner, 0);
    }
}

impl Outer for GueIpv6 {
    const LENGTH: usize = Ipv6Hdr::LEN + UDP_GUE;

    #[inline(always)]
    fn write<M: FrameMut + ?Sized>(frame: &mut M, backend: &Backend, inner: &Inner) {
        write_ethernet(frame, backend, EtherType::Ipv6);
        write_ipv6(
            frame,
            backend,
            inner,
            inner.length + UDP_GUE,
            IpProto::Udp as u8,
            0,
        );
        write_gue(frame, EthHdr::LEN + Ipv6Hdr::LEN, inner, 0);
    }
}

/// An outer header that can carry `N` alternates.
pub trait Carrying<const N: usize>: Outer {
    /// Bytes by which a packet grows.
    const GROWTH: usize;

    /// As [`Outer::write`], for [`Self::GROWTH`]. The alternates have the address family of `backend`.
    fn write_carrying<M: FrameMut + ?Sized>(
        frame: &mut M,
        backend: &Backend,
        alternates: [&Backend; N],
        inner: &Inner,
    );
}

impl<const N: usize> Carrying<N> for GueIpv4 {
    const GROWTH: usize = Self::LENGTH + alternates::length(N, 4);

    #[inline(always)]
    fn write_carrying<M: FrameMut + ?Sized>(
        frame: &mut M,
        backend: &Backend,
        alternates: [&Backend; N],
        inner: &Inner,
    ) {
        let length = inner.length + <Self as Carrying<N>>::GROWTH;
        write_ethernet(frame, backend, EtherType::Ipv4);
        write_ipv4(frame, backend, length, inner.tos, IpProto::Udp, 0);
        let at = EthHdr::LEN + Ipv4Hdr::LEN;
        write_gue(frame, at, inner, alternates::length(N, 4));
        let at = at + UDP_GUE;
        frame.write(at, Head::new(N as u8).word());
        for (place, alternate) in alternates.into_iter().enumerate() {
            let address = alternate.destination.ipv4_word();
            frame.write(at + alternates::length(place, 4), address);
        }
    }
}

impl<const N: usize> Carrying<N> for GueIpv6 {
    const GROWTH: usize = Self::LENGTH + alternates::length(N, 16);

    #[inline(always)]
    fn write_carrying<M: FrameMut + ?Sized>(
        frame: &mut M,
        backend: &Backend,
        alternates: [&Backend; N],
        inner: &Inner,
    ) {
        let payload = inner.length + UDP_GUE + alternates::length(N, 16);
        write_ethernet(frame, backend, EtherType::Ipv6);
        write_ipv6(frame, backend, inner, payload, IpProto::Udp as u8, 0);
        let at = EthHdr::LEN + Ipv6Hdr::LEN;
        write_gue(frame, at, inner, alternates::length(N, 16));
        let at = at + UDP_GUE;
        frame.write(at, Head::new(N as u8).word());
        for (place, alternate) in alternates.into_iter().enumerate() {
            let at = at + alternates::length(place, 16);
            frame.write(at, alternate.destination.0[0]);
            frame.write(at + 8, alternate.destination.0[1]);
        }
    }
}

#[inline(always)]
fn write_ethernet<M: FrameMut + ?Sized>(frame: &mut M, backend: &Backend, ether_type: EtherType) {
    frame.write(0, backend.macs[0]);
    frame.write(8, backend.macs[1] as u32);
    frame.write(12, ether_type as u16);
}

/// The flow's part of the outer source's last 16 bits. A receiver spreads load by it where the outer header has no port.
#[inline(always)]
fn varied(backend: &Backend, inner: &Inner) -> u16 {
    inner.hash as u16 & backend.varying
}

/// Writes identification 0 with don't-fragment: an atomic datagram (RFC 6864), which the fabric must not fragment. `host` is
/// added to the record's source in the last 16 bits.
#[inline(always)]
fn write_ipv4<M: FrameMut + ?Sized>(
    frame: &mut M,
    backend: &Backend,
    length: usize,
    tos: u8,
    protocol: IpProto,
    host: u16,
) {
    let at = EthHdr::LEN;
    let sum = backend.ipv4_sum + length as u32 + u32::from(tos) + u32::from(host);
    let checksum = checksum::finish(sum);
    frame.write(at, 0x45_u8);
    frame.write(at + 1, tos);
    frame.write(at + 2, (length as u16).to_be());
    frame.write(at + 4, 0_u16);
    frame.write(at + 6, 0x4000_u16.to_be());
    frame.write(at + 8, 64_u8);
    frame.write(at + 9, protocol as u8);
    frame.write(at + 10, checksum.to_be());
    frame.write(
        at + 12,
        backend.source.ipv4_word() | u32::from(host).to_be(),
    );
    frame.write(at + 16, backend.destination.ipv4_word());
}

#[inline(always)]
fn write_ipv6<M: FrameMut + ?Sized>(
    frame: &mut M,
    backend: &Backend,
    inner: &Inner,
    payload: usize,
    protocol: u8,
    host: u16,
) {
    let at = EthHdr::LEN;
    // The flow label and the source port use different bits of the hash, so that each spreads flows independently.
    let label = (inner.hash >> 14) as u32 & 0x000f_ffff;
    let first = 6 << 28 | u32::from(inner.tos) << 20 | label;
    frame.write(at, first.to_be());
    frame.write(at + 4, (payload as u16).to_be());
    frame.write(at + 6, protocol);
    frame.write(at + 7, 64_u8);
    frame.write(at + 8, backend.source.0[0]);
    frame.write(at + 16, backend.source.0[1] | u64::from(host).to_be());
    frame.write(at + 24, backend.destination.0[0]);
    frame.write(at + 32, backend.destination.0[1]);
}

/// Writes the UDP and GUE headers for `private` bytes of private data. The source port varies with the flow, within the dynamic
/// range (RFC 6335). The checksum is zero, which RFC 6935 and RFC 6936 allow for tunnels over IPv6 if the receiver accepts it.
#[inline(always)]
fn write_gue<M: FrameMut + ?Sized>(frame: &mut M, at: usize, inner: &Inner, private: usize) {
    let source_port = 0xc000 | inner.hash as u16 & 0x3fff;
    frame.write(at, source_port.to_be());
    frame.write(at + 2, gue::PORT.to_be());
    frame.write(at + 4, ((inner.length + UDP_GUE + private) as u16).to_be());
    frame.write(at + 6, 0_u16);
    frame.write(at + 8, gue::base(inner.protocol, private));
}

#[cfg(test)]
mod tests;
