//! Frames for this crate's tests, built by a library that the packet logic does not use.

use etherparse::{IpHeaders, IpNumber, PacketBuilder};

/// The VIPs.
pub(crate) const VIP_V4: [u8; 4] = [198, 51, 100, 10];
pub(crate) const VIP_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];
/// The clients.
pub(crate) const CLIENT_V4: [u8; 4] = [192, 0, 2, 2];
pub(crate) const CLIENT_V6: [u8; 16] = [0xfd, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
/// The edge and a backend, as outer source and destination.
pub(crate) const EDGE_V4: [u8; 4] = [10, 1, 0, 2];
pub(crate) const EDGE_V6: [u8; 16] = [0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
pub(crate) const BACKEND_V4: [u8; 4] = [10, 1, 0, 11];
pub(crate) const BACKEND_V6: [u8; 16] = [0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11];
/// Their ports.
pub(crate) const CLIENT_PORT: u16 = 40_000;
pub(crate) const PORT: u16 = 8_000;

const PAYLOAD: &[u8] = b"hello";

/// A TCP packet to the VIP, without options.
pub(crate) fn tcp_v4() -> Vec<u8> {
    tcp(IpHeaders::Ipv4(ipv4(CLIENT_V4, VIP_V4), Default::default()))
}

/// A TCP packet to the VIP.
pub(crate) fn tcp_v6() -> Vec<u8> {
    tcp(IpHeaders::Ipv6(ipv6(CLIENT_V6, VIP_V6), Default::default()))
}

/// A UDP packet to the VIP, without options.
pub(crate) fn udp_v4() -> Vec<u8> {
    udp(
        IpHeaders::Ipv4(ipv4(CLIENT_V4, VIP_V4), Default::default()),
        PORT,
        PAYLOAD,
    )
}

/// A UDP packet to the VIP.
pub(crate) fn udp_v6() -> Vec<u8> {
    udp(
        IpHeaders::Ipv6(ipv6(CLIENT_V6, VIP_V6), Default::default()),
        PORT,
        PAYLOAD,
    )
}

/// A TCP packet to the VIP with IPv4 options.
pub(crate) fn tcp_v4_with_options(options: &[u8]) -> Vec<u8> {
    let mut header = ipv4(CLIENT_V4, VIP_V4);
    header.options = options.try_into().expect("whole words");
    tcp(IpHeaders::Ipv4(header, Default::default()))
}

/// What stands behind the Ethernet header, in IPv4 from the edge to the backend.
pub(crate) fn in_ipv4(frame: &[u8]) -> Vec<u8> {
    encapsulate(
        IpHeaders::Ipv4(ipv4(EDGE_V4, BACKEND_V4), Default::default()),
        frame,
    )
}

/// The same in IPv6.
pub(crate) fn in_ipv6(frame: &[u8]) -> Vec<u8> {
    encapsulate(
        IpHeaders::Ipv6(ipv6(EDGE_V6, BACKEND_V6), Default::default()),
        frame,
    )
}

/// The same in IPv4, UDP and GUE.
pub(crate) fn in_gue_ipv4(frame: &[u8]) -> Vec<u8> {
    let headers = IpHeaders::Ipv4(ipv4(EDGE_V4, BACKEND_V4), Default::default());
    udp(headers, 6080, &gue(frame))
}

/// The same in IPv6, UDP and GUE.
pub(crate) fn in_gue_ipv6(frame: &[u8]) -> Vec<u8> {
    let headers = IpHeaders::Ipv6(ipv6(EDGE_V6, BACKEND_V6), Default::default());
    udp(headers, 6080, &gue(frame))
}

/// The frame with `bytes` written over what stands at `at`.
pub(crate) fn put(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

fn gue(frame: &[u8]) -> Vec<u8> {
    let mut packet = vec![0, inner_protocol(frame).0, 0, 0];
    packet.extend_from_slice(&frame[14..]);
    packet
}

fn inner_protocol(frame: &[u8]) -> IpNumber {
    match frame[14] >> 4 {
        4 => IpNumber::IPV4,
        _ => IpNumber::IPV6,
    }
}

fn ipv4(source: [u8; 4], destination: [u8; 4]) -> etherparse::Ipv4Header {
    etherparse::Ipv4Header {
        time_to_live: 63,
        source,
        destination,
        ..Default::default()
    }
}

fn ipv6(source: [u8; 16], destination: [u8; 16]) -> etherparse::Ipv6Header {
    etherparse::Ipv6Header {
        hop_limit: 63,
        source,
        destination,
        ..Default::default()
    }
}

fn tcp(headers: IpHeaders) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ip(headers)
        .tcp(CLIENT_PORT, PORT, 1, 2)
        .write(&mut frame, PAYLOAD)
        .expect("a sound packet");
    frame
}

fn udp(headers: IpHeaders, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ip(headers)
        .udp(CLIENT_PORT, port)
        .write(&mut frame, payload)
        .expect("a sound packet");
    frame
}

fn encapsulate(headers: IpHeaders, frame: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ip(headers)
        .write(&mut out, inner_protocol(frame), &frame[14..])
        .expect("a sound packet");
    out
}
