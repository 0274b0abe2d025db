//! Encapsulated packets, as edges send them to an instance.

use crate::agent::{EDGE_V4, EDGE_V6, OWN_V4, OWN_V6, VIP_V4, VIP_V6};
use crate::frame::{Packet, Transport, put};
use crate::oracle;

/// An outer header around `inner`, a frame, as an edge makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outer {
    Ipv4,
    Ipv6,
    GueIpv4,
    GueIpv6,
}

impl Outer {
    pub(crate) const ALL: [Outer; 4] = [Outer::Ipv4, Outer::Ipv6, Outer::GueIpv4, Outer::GueIpv6];

    pub(crate) fn is_ipv4(self) -> bool {
        matches!(self, Outer::Ipv4 | Outer::GueIpv4)
    }

    pub(crate) fn around(self, inner: &[u8]) -> Vec<u8> {
        self.around_with(inner, &[])
    }

    /// With private data behind the GUE header; whole words.
    pub(crate) fn around_with(self, inner: &[u8], private: &[u8]) -> Vec<u8> {
        let packet = oracle::ip_packet(inner).expect("a sound inner packet");
        let protocol = if packet[0] >> 4 == 4 { 4 } else { 41 };
        let (source, destination) = match self.is_ipv4() {
            true => (EDGE_V4, OWN_V4),
            false => (EDGE_V6, OWN_V6),
        };
        let outer = |transport| Packet::new(transport, destination).from(source);
        match self {
            Outer::Ipv4 | Outer::Ipv6 => outer(Transport::Other(protocol)).payload(packet).frame(),
            Outer::GueIpv4 | Outer::GueIpv6 => {
                let mut payload = vec![(private.len() / 4) as u8, protocol, 0, 0];
                payload.extend_from_slice(private);
                payload.extend_from_slice(packet);
                let datagram = outer(Transport::Udp).ports(50_000, 6080).payload(&payload);
                let checksum_at = if self.is_ipv4() { 40 } else { 60 };
                put(datagram.frame(), checksum_at, &[0, 0])
            }
        }
    }
}

/// A TCP packet to the instance's IPv4 VIP.
pub(crate) fn inner4() -> Vec<u8> {
    Packet::tcp(VIP_V4).frame()
}

/// A TCP packet to the instance's IPv6 VIP.
pub(crate) fn inner6() -> Vec<u8> {
    Packet::tcp(VIP_V6).frame()
}
