//! Frames, made by a library that the data plane does not use, and spoiled by hand.

use std::net::IpAddr;

use etherparse::{
    IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv4Options, Ipv6Extensions, Ipv6FlowLabel,
    Ipv6Header, PacketBuilder,
};

/// The router's MAC: who sends to the edge, and whom the edge sends to.
pub(crate) const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The MAC of the edge's `eth0`.
pub(crate) const EDGE: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// The clients.
pub(crate) const CLIENT_V4: &str = "192.0.2.2";
pub(crate) const CLIENT_V6: &str = "fd00:2::2";
/// The port that the services have.
pub(crate) const PORT: u16 = 8000;
/// The clients' port.
pub(crate) const CLIENT_PORT: u16 = 40_000;
/// The sequence number of TCP packets.
const SEQUENCE: u32 = 0x0102_0304;

/// Where things stand in a frame.
pub(crate) const IP: usize = 14;
pub(crate) const BEHIND_IPV4: usize = 34;
pub(crate) const BEHIND_IPV6: usize = 54;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
    /// ICMP or ICMPv6, as the addresses are: type, code, and the four bytes behind the checksum.
    Icmp([u8; 6]),
    /// Some other protocol, by its number; the payload follows the IP header.
    Other(u8),
}

/// A packet to be, from a client to `destination`.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) transport: Transport,
    pub(crate) ports: (u16, u16),
    pub(crate) tos: u8,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    pub(crate) fn new(transport: Transport, destination: &str) -> Packet {
        let destination: IpAddr = destination.parse().expect("an address");
        let source = if destination.is_ipv4() {
            CLIENT_V4
        } else {
            CLIENT_V6
        };
        Packet {
            source: source.parse().expect("an address"),
            destination,
            transport,
            ports: (CLIENT_PORT, PORT),
            tos: 0,
            options: Vec::new(),
            payload: b"hello".to_vec(),
        }
    }

    pub(crate) fn tcp(destination: &str) -> Packet {
        Packet::new(Transport::Tcp, destination)
    }

    pub(crate) fn udp(destination: &str) -> Packet {
        Packet::new(Transport::Udp, destination)
    }

    pub(crate) fn from(mut self, source: &str) -> Packet {
        self.source = source.parse().expect("an address");
        self
    }

    pub(crate) fn ports(mut self, source: u16, destination: u16) -> Packet {
        self.ports = (source, destination);
        self
    }

    pub(crate) fn tos(mut self, tos: u8) -> Packet {
        self.tos = tos;
        self
    }

    /// IPv4 options; a multiple of four bytes.
    pub(crate) fn options(mut self, options: &[u8]) -> Packet {
        self.options = options.to_vec();
        self
    }

    pub(crate) fn payload(mut self, payload: &[u8]) -> Packet {
        self.payload = payload.to_vec();
        self
    }

    fn headers(&self) -> IpHeaders {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header = Ipv4Header {
                    time_to_live: 63,
                    identification: 0x1234,
                    source: source.octets(),
                    destination: destination.octets(),
                    options: Ipv4Options::try_from(&self.options[..]).expect("whole words"),
                    ..Ipv4Header::default()
                };
                header.dscp = (self.tos >> 2).try_into().expect("six bits");
                header.ecn = (self.tos & 3).try_into().expect("two bits");
                IpHeaders::Ipv4(header, Ipv4Extensions::default())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => IpHeaders::Ipv6(
                Ipv6Header {
                    traffic_class: self.tos,
                    flow_label: Ipv6FlowLabel::try_new(0xabcde).expect("20 bits"),
                    hop_limit: 63,
                    source: source.octets(),
                    destination: destination.octets(),
                    ..Ipv6Header::default()
                },
                Ipv6Extensions::default(),
            ),
            _ => panic!("one family: {self:?}"),
        }
    }

    /// The SYN that opens the connection of a TCP packet like this one, as a whole frame.
    pub(crate) fn syn(&self) -> Vec<u8> {
        let ip = PacketBuilder::ethernet2(ROUTER, EDGE).ip(self.headers());
        let (source, destination) = self.ports;
        let mut frame = Vec::new();
        ip.tcp(source, destination, SEQUENCE - 1, 0x2000)
            .syn()
            .write(&mut frame, &[])
            .expect("a sound packet");
        frame
    }

    /// The whole frame, from the router to the edge.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let ip = PacketBuilder::ethernet2(ROUTER, EDGE).ip(self.headers());
        let mut frame = Vec::new();
        let (source, destination) = self.ports;
        match self.transport {
            Transport::Tcp => ip
                .tcp(source, destination, SEQUENCE, 0x2000)
                .ack(0x0506_0708)
                .write(&mut frame, &self.payload),
            Transport::Udp => ip.udp(source, destination).write(&mut frame, &self.payload),
            Transport::Icmp([kind, code, rest @ ..]) if self.destination.is_ipv4() => ip
                .icmpv4_raw(kind, code, rest)
                .write(&mut frame, &self.payload),
            Transport::Icmp([kind, code, rest @ ..]) => ip
                .icmpv6_raw(kind, code, rest)
                .write(&mut frame, &self.payload),
            Transport::Other(number) => ip.write(&mut frame, IpNumber(number), &self.payload),
        }
        .expect("a sound packet");
        frame
    }
}

/// A TCP packet in IPv4 to the first service there is.
pub(crate) fn tcp4() -> Packet {
    Packet::tcp("198.51.100.1")
}

/// A UDP packet in IPv4 to the same.
pub(crate) fn udp4() -> Packet {
    Packet::udp("198.51.100.1")
}

/// A TCP packet in IPv6 to the first service of that family.
pub(crate) fn tcp6() -> Packet {
    Packet::tcp("2001:db8::4")
}

/// A UDP packet in IPv6 to the same.
pub(crate) fn udp6() -> Packet {
    Packet::udp("2001:db8::4")
}

/// The frame with `bytes` written over what stands at `at`.
pub(crate) fn put(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

/// The frame with the checksum that its IPv4 header asks for.
pub(crate) fn summed(frame: Vec<u8>) -> Vec<u8> {
    let (header, _) = Ipv4Header::from_slice(&frame[IP..]).expect("an IPv4 header");
    let checksum = header.calc_header_checksum();
    put(frame, IP + 10, &checksum.to_be_bytes())
}

/// A TCP frame that acknowledges all in front of this sequence number.
pub(crate) fn acknowledging(frame: Vec<u8>, number: u32) -> Vec<u8> {
    let header = match frame[IP] >> 4 {
        4 => usize::from(frame[IP] & 0xf) * 4,
        _ => 40,
    };
    put(frame, IP + header + 8, &number.to_be_bytes())
}

/// The frame with so many bytes of padding behind it.
pub(crate) fn padded(mut frame: Vec<u8>, bytes: usize) -> Vec<u8> {
    frame.resize(frame.len() + bytes, 0);
    frame
}

/// Bytes from hexadecimal digits, of which spaces and bars may stand between.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '|')
        .map(|c| c.to_digit(16).expect("a hexadecimal digit") as u8)
        .collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {text:?}");
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}
