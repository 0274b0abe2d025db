//! Every reason of the edge: packets that it does not send on.
//!
//! All but one: `no_table` can't be met by anything that an operator does, because a table is there
//! before its service and goes after it. That one is tried in user space, beside the function.

use anyhow::Result;
use balancer_common::Reason;

use crate::counts::Counts;
use crate::edge::{ENCAPSULATIONS, Service, Site, to, vip};
use crate::frame::{BEHIND_IPV4, BEHIND_IPV6, IP, Packet, Transport, padded, put};
use crate::oracle;
use crate::row::{Bench, Row, check};
use crate::run::{Ran, Verdict};

fn row(reason: Reason, what: &str, frame: Vec<u8>) -> Row {
    let verdict = match reason.verdict() {
        balancer_common::reason::Verdict::Pass => Verdict::Pass,
        balancer_common::reason::Verdict::Drop => Verdict::Drop,
    };
    let name = format!("{}: {what}", reason.name());
    Row::untouched(name, frame, verdict, Counts::reason(reason))
}

fn tcp4() -> Packet {
    Packet::tcp(vip("gue44"))
}

fn udp4() -> Packet {
    Packet::udp(vip("gue44"))
}

fn tcp6() -> Packet {
    Packet::tcp(vip("gue66"))
}

fn udp6() -> Packet {
    Packet::udp(vip("gue66"))
}

fn other(protocol: u8, vip: &str) -> Vec<u8> {
    Packet::new(Transport::Other(protocol), vip)
        .payload(&[8; 32])
        .frame()
}

#[test]
fn what_is_no_ip_packet_for_a_vip_passes_untouched() -> Result<()> {
    use Reason::{NotForVip, NotIp, ShortFrame};
    let mut arp = vec![0xff; 6];
    arp.extend([2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend([
        2, 0, 0, 0, 0, 1, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 198, 51, 100, 1,
    ]);
    let mut tagged = tcp4().frame();
    tagged.splice(12..12, [0x81, 0, 0, 7]);
    let stranger4 = Packet::tcp("198.51.100.200").frame();
    let stranger6 = Packet::udp("2001:db8::200").frame();
    let site = Site::new(ENCAPSULATIONS)?;
    let rows = [
        row(NotIp, "ARP for a VIP", arp),
        row(NotIp, "a VLAN tag", tagged),
        row(NotIp, "MPLS", put(tcp4().frame(), 12, &[0x88, 0x47])),
        row(NotIp, "802.3 length", put(tcp4().frame(), 12, &[0, 46])),
        row(
            NotIp,
            "an Ethernet header alone",
            put(vec![0; 14], 12, &[8, 6]),
        ),
        row(
            ShortFrame,
            "IPv4 type and nothing behind",
            put(vec![0; 14], 12, &[8, 0]),
        ),
        row(
            ShortFrame,
            "half an IPv4 address",
            tcp4().frame()[..32].to_vec(),
        ),
        row(
            ShortFrame,
            "half an IPv6 address",
            tcp6().frame()[..46].to_vec(),
        ),
        row(NotForVip, "IPv4", stranger4.clone()),
        row(NotForVip, "IPv6", stranger6.clone()),
        row(
            NotForVip,
            "the edge itself",
            Packet::udp("10.1.0.2").frame(),
        ),
        row(NotForVip, "a backend", Packet::udp("10.1.0.11").frame()),
        row(NotForVip, "IHL 0", put(stranger4.clone(), IP, &[0x40])),
        row(NotForVip, "version 0", put(stranger4.clone(), IP, &[0x05])),
        row(
            NotForVip,
            "a lying length",
            put(stranger4.clone(), 16, &[0xff, 0xff]),
        ),
        row(
            NotForVip,
            "a fragment",
            put(stranger4.clone(), 20, &[0x20, 0]),
        ),
        row(NotForVip, "ICMP", other(1, "198.51.100.200")),
        row(NotForVip, "an IPv6 fragment", put(stranger6, 20, &[44])),
        row(
            NotForVip,
            "an IPv4 VIP in an IPv6 header",
            Packet::tcp("::ffff:198.51.100.5").frame(),
        ),
    ];
    check(&site, &rows)
}

#[test]
fn what_no_service_takes_is_dropped() -> Result<()> {
    use Reason::{UndeclaredPort, UnsupportedProtocol};
    let site = Site::new(ENCAPSULATIONS)?;
    site.edge
        .lbctl_ok(&["services", "remove", "ipip-udp", "--now", "--force"])?;
    let mut rows = vec![
        row(UndeclaredPort, "TCP 22", tcp4().ports(40_000, 22).frame()),
        row(
            UndeclaredPort,
            "UDP 8001",
            udp6().ports(40_000, 8_001).frame(),
        ),
        row(
            UndeclaredPort,
            "ports swapped",
            tcp6().ports(8_000, 40_000).frame(),
        ),
        row(UndeclaredPort, "port 0", udp4().ports(0, 0).frame()),
        row(
            UndeclaredPort,
            "port 8000 in the other byte order",
            tcp4().ports(40_000, 8_000_u16.swap_bytes()).frame(),
        ),
        row(
            UndeclaredPort,
            "UDP where only TCP is declared",
            Packet::udp(vip("ipip")).frame(),
        ),
    ];
    let frame = Packet::tcp(vip("ipip")).frame();
    rows.push(sent("TCP where only TCP is declared", "ipip", "tcp", frame));
    for protocol in [0, 1, 2, 4, 41, 47, 50, 59, 132, 255] {
        let name = format!("IP protocol {protocol}");
        rows.push(row(
            UnsupportedProtocol,
            &name,
            other(protocol, vip("gue44")),
        ));
    }
    for next in [0, 4, 41, 43, 50, 58, 59, 60, 255] {
        let name = format!("next header {next}");
        let frame = put(tcp6().frame(), 20, &[next]);
        rows.push(row(UnsupportedProtocol, &name, frame));
    }
    check(&site, &rows)
}

#[test]
fn fragments_are_dropped() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let v4 = |bits: u16| put(udp4().frame(), 20, &bits.to_be_bytes());
    let v6 = |packet: Packet| {
        let mut frame = put(packet.frame(), 20, &[44]);
        frame.splice(BEHIND_IPV6..BEHIND_IPV6, [6, 0, 0, 1, 0, 0, 0, 9]);
        let length = (frame.len() - BEHIND_IPV6) as u16;
        put(frame, 18, &length.to_be_bytes())
    };
    let rows = [
        row(Reason::Fragment, "the first of IPv4", v4(0x2000)),
        row(Reason::Fragment, "a middle one", v4(0x2008)),
        row(Reason::Fragment, "the last", v4(0x0010)),
        row(Reason::Fragment, "the smallest offset", v4(0x0001)),
        row(Reason::Fragment, "the largest offset", v4(0x1fff)),
        row(Reason::Fragment, "don't fragment, and yet one", v4(0x6000)),
        row(Reason::Fragment, "the first of IPv6, TCP", v6(tcp6())),
        row(Reason::Fragment, "the first of IPv6, UDP", v6(udp6())),
        sent("don't fragment", "gue44", "udp", v4(0x4000)),
    ];
    check(&site, &rows)
}

#[test]
fn impossible_header_lengths_are_dropped() -> Result<()> {
    use Reason::BadHeaderLength;
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for ihl in 0..5 {
        let frame = put(tcp4().frame(), IP, &[0x40 | ihl]);
        rows.push(row(BadHeaderLength, &format!("IHL {ihl}"), frame));
    }
    for version in [0, 3, 5, 6, 15] {
        let frame = put(udp4().frame(), IP, &[version << 4 | 5]);
        rows.push(row(
            BadHeaderLength,
            &format!("version {version} as IPv4"),
            frame,
        ));
    }
    for version in [0, 4, 5, 7, 15] {
        let frame = put(tcp6().frame(), IP, &[version << 4]);
        rows.push(row(
            BadHeaderLength,
            &format!("version {version} as IPv6"),
            frame,
        ));
    }
    for words in [0, 1, 2, 3, 4, 7, 15] {
        let name = format!("TCP data offset {words} in IPv4");
        let frame = put(tcp4().frame(), BEHIND_IPV4 + 12, &[words << 4]);
        rows.push(row(BadHeaderLength, &name, frame));
        let name = format!("TCP data offset {words} in IPv6");
        let frame = put(tcp6().frame(), BEHIND_IPV6 + 12, &[words << 4]);
        rows.push(row(BadHeaderLength, &name, frame));
    }
    // 20 bytes of header and 5 of payload, then padding, which is no place for options.
    let frame = put(padded(tcp4().frame(), 40), BEHIND_IPV4 + 12, &[0x70]);
    rows.push(row(BadHeaderLength, "TCP options in the padding", frame));
    let frame = put(tcp4().payload(&[1; 4]).frame(), BEHIND_IPV4 + 12, &[0x60]);
    rows.push(sent("TCP data offset to the end", "gue44", "tcp", frame));
    check(&site, &rows)
}

#[test]
fn lying_lengths_are_dropped() -> Result<()> {
    use Reason::BadTotalLength;
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    let total = (tcp4().frame().len() - IP) as u16;
    for length in [0, 1, 19, 20, 39, total + 1, 1_500, 0x8000, 0xffff] {
        let frame = put(tcp4().frame(), 16, &length.to_be_bytes());
        rows.push(row(
            BadTotalLength,
            &format!("total length {length}"),
            frame,
        ));
    }
    for length in [0, 1, 19, total - 20 + 1, 0x8000, 0xffff] {
        let frame = put(tcp6().frame(), 18, &length.to_be_bytes());
        rows.push(row(
            BadTotalLength,
            &format!("payload length {length}"),
            frame,
        ));
    }
    for (at, frame) in [(BEHIND_IPV4, udp4().frame()), (BEHIND_IPV6, udp6().frame())] {
        let whole = (frame.len() - at) as u16;
        for length in [0, 1, 7, whole + 1, 0xffff] {
            let name = format!("UDP length {length} at {at}");
            let frame = put(frame.clone(), at + 4, &length.to_be_bytes());
            rows.push(row(BadTotalLength, &name, frame));
        }
    }
    let seven = put(udp4().frame(), 16, &[0, 27]);
    rows.push(row(BadTotalLength, "7 bytes of UDP", seven));
    let frame = put(padded(tcp4().frame(), 20), 16, &[0, 39]);
    rows.push(row(
        BadTotalLength,
        "a TCP header that ends in the padding",
        frame,
    ));
    let frame = put(tcp4().frame(), IP, &[0x4f]);
    rows.push(row(BadTotalLength, "options longer than the packet", frame));
    // A datagram shorter than its packet is no lie: the rest is padding (RFC 768).
    let frame = put(udp4().frame(), BEHIND_IPV4 + 4, &[0, 8]);
    rows.push(sent("UDP length 8", "gue44", "udp", frame));
    check(&site, &rows)
}

/// Beside backends that can be reached: one that no route leads to, and one without neighbour.
const LOST: &[Service] = &[
    ("gue44", "198.51.100.1", "gue", &["10.1.0.11"]),
    ("no-route", "198.51.100.21", "gue", &["203.0.113.9"]),
    ("no-neighbour", "198.51.100.22", "gue", &["10.4.0.9"]),
    ("emptied", "198.51.100.23", "ipip", &["10.1.0.24"]),
];

#[test]
fn without_a_backend_or_a_way_to_it_packets_are_dropped() -> Result<()> {
    use Reason::{NoBackend, NoNextHop};
    let site = Site::new(LOST)?;
    for protocol in ["tcp", "udp"] {
        let service = format!("emptied-{protocol}");
        let transport = match protocol {
            "tcp" => Transport::Tcp,
            _ => Transport::Udp,
        };
        let frame = Packet::new(transport, "198.51.100.23").frame();
        assert_eq!(site.run(&[frame])?[0].verdict, Verdict::Transmit);
        let remove = ["backends", "remove", &service, "10.1.0.24", "--now"];
        let reply = site.edge.lbctl(&remove)?;
        assert_eq!(reply.code, 6, "{reply:?}");
        site.edge.lbctl_ok(&[&remove[..], &["--force"]].concat())?;
    }
    let rows = [
        row(NoNextHop, "no route", Packet::tcp("198.51.100.21").frame()),
        row(
            NoNextHop,
            "no neighbour",
            Packet::udp("198.51.100.22").frame(),
        ),
        row(NoBackend, "TCP", Packet::tcp("198.51.100.23").frame()),
        row(NoBackend, "UDP", Packet::udp("198.51.100.23").frame()),
    ];
    check(&site, &rows)
}

/// The interface takes 1,600 bytes: less the outer header, that is the longest inner packet.
#[test]
fn what_does_not_fit_the_next_hop_is_dropped() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for (name, longest) in [
        ("gue44", 1_568),
        ("gue46", 1_548),
        ("gue64", 1_568),
        ("gue66", 1_548),
        ("ipip", 1_580),
        ("ip6ip6", 1_560),
        ("ip4in6", 1_560),
    ] {
        let of = |bytes: usize| {
            let header = if vip(name).contains(':') { 60 } else { 40 };
            let packet = Packet::tcp(vip(name)).payload(&vec![7; bytes - header]);
            packet.frame()
        };
        rows.push(sent(
            &format!("{name}: the longest"),
            name,
            "tcp",
            of(longest),
        ));
        let frame = of(longest + 1);
        rows.push(row(
            Reason::TooLarge,
            &format!("{name}: a byte more"),
            frame,
        ));
        // Padding is no part of the packet.
        let frame = padded(of(longest), 8);
        rows.push(sent(&format!("{name}: padded"), name, "tcp", frame));
    }
    check(&site, &rows)
}

/// Of the room that the kernel keeps free in front of a frame, 216 bytes may be taken by metadata
/// of a program that ran before.
#[test]
fn without_room_for_the_outer_header_packets_are_dropped() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    for (name, outer_length) in [
        ("gue44", 32),
        ("gue46", 52),
        ("gue64", 32),
        ("gue66", 52),
        ("ipip", 20),
        ("ip6ip6", 40),
        ("ip4in6", 40),
    ] {
        let frame = Packet::tcp(vip(name)).frame();
        let enough = Behind(&site, 216 - outer_length);
        check(&enough, &[sent("just enough", name, "tcp", frame.clone())])?;
        let short = Behind(&site, 216 - outer_length + 4);
        check(&short, &[row(Reason::NoHeadroom, name, frame)])?;
    }
    Ok(())
}

/// The edge with so many bytes of metadata in front of each frame.
struct Behind<'a>(&'a Site, usize);

impl Bench for Behind<'_> {
    fn run(&self, frames: &[Vec<u8>]) -> Result<Vec<Ran>> {
        self.0.run_behind(self.1, frames)
    }

    fn counts(&self) -> Result<Counts> {
        self.0.counts()
    }

    fn judge(&self, frame: &[u8], ran: &Ran) -> Result<(), String> {
        oracle::judge(frame, ran)
    }
}

/// A row of a packet that is sent.
fn sent(name: &str, service: &str, protocol: &str, frame: Vec<u8>) -> Row {
    let bytes = oracle::ip_packet(&frame).map_or(0, <[u8]>::len);
    Row::sent(name, frame, to(service, protocol, bytes))
}
