//! The frames that are driven, as they are before a driver writes the flow's addresses and ports.

/// Ethernet, then IP, then TCP or UDP with a short payload: 64 bytes with IPv4, 84 with IPv6.
pub(crate) fn ipv4(segment: &[u8], protocol: u8) -> Vec<u8> {
    let length = (20 + segment.len()) as u16;
    let mut frame = ethernet([0x08, 0x00]);
    frame.extend([0x45, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend([0; 8]);
    frame.extend(segment);
    frame
}

/// The same of IPv6.
pub(crate) fn ipv6(segment: &[u8], protocol: u8) -> Vec<u8> {
    let mut frame = ethernet([0x86, 0xdd]);
    frame.extend([0x60, 0, 0, 0]);
    frame.extend((segment.len() as u16).to_be_bytes());
    frame.extend([protocol, 64]);
    frame.extend([0; 32]);
    frame.extend(segment);
    frame
}

/// A TCP segment with these flags and ten bytes of payload.
pub(crate) fn tcp(flags: u8) -> Vec<u8> {
    let mut segment = vec![0; 12];
    segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend([0; 10]);
    segment
}

/// A UDP datagram with 22 bytes of payload, as long as the TCP segment.
pub(crate) fn udp() -> Vec<u8> {
    let mut datagram = vec![0, 0, 0, 0, 0, 30, 0, 0];
    datagram.extend([0; 22]);
    datagram
}

/// What an edge sends to a backend: `inner`, a frame, in IPv4, UDP and GUE headers with this private data.
pub(crate) fn gue(inner: &[u8], source: [u8; 4], destination: [u8; 4], private: &[u8]) -> Vec<u8> {
    let packet = &inner[14..];
    let udp_length = (12 + private.len() + packet.len()) as u16;
    let mut datagram = vec![0xee, 0xb8];
    datagram.extend(6_080_u16.to_be_bytes());
    datagram.extend(udp_length.to_be_bytes());
    datagram.extend([0, 0, (private.len() / 4) as u8, 4, 0, 0]);
    datagram.extend(private);
    datagram.extend(packet);
    addressed(ipv4(&datagram, 17), source, destination)
}

/// The same in an IPv4 header alone.
pub(crate) fn ipip(inner: &[u8], source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
    addressed(ipv4(&inner[14..], 4), source, destination)
}

/// An IPv4 frame with these addresses.
pub(crate) fn addressed(mut frame: Vec<u8>, source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
    frame[26..30].copy_from_slice(&source);
    frame[30..34].copy_from_slice(&destination);
    frame
}

fn ethernet(ether_type: [u8; 2]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 1, 1];
    frame.extend(ether_type);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_long_as_their_headers_say() {
        let inner = ipv4(&tcp(0x10), 6);
        assert_eq!((inner.len(), inner[17]), (64, 50));
        assert_eq!(ipv4(&udp(), 17).len(), 64);
        let long = ipv6(&tcp(0x10), 6);
        assert_eq!((long.len(), long[19]), (84, 30));
        let outer = ipip(&inner, [10, 1, 0, 2], [10, 1, 0, 11]);
        assert_eq!((outer.len(), outer[17]), (84, 70));
        let outer = gue(&inner, [10, 1, 0, 2], [10, 1, 0, 11], &[0; 16]);
        assert_eq!((outer.len(), outer[17], outer[39]), (112, 98, 78));
    }
}
