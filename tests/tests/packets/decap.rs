//! What an instance's agent takes out of its encapsulation, and what it refuses.

use anyhow::Result;
use balancer_common::Reason;

use crate::agent::{Decap, EDGE_V4, EDGE_V6, OWN_V4, OWN_V6, Site, VIP_V4, VIP_V6};
use crate::counts::Counts;
use crate::frame::{Packet, Transport, padded, put, summed};
use crate::oracle;
use crate::row::{Out, Row, check};
use crate::run::Verdict;

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

/// The inner packets: a frame for each family and protocol.
fn inners() -> [(&'static str, Vec<u8>); 4] {
    [
        ("TCP in IPv4", Packet::tcp(VIP_V4).frame()),
        ("UDP in IPv4", Packet::udp(VIP_V4).tos(0xb9).frame()),
        ("TCP in IPv6", Packet::tcp(VIP_V6).tos(0xb9).frame()),
        ("UDP in IPv6", Packet::udp(VIP_V6).frame()),
    ]
}

/// The frame that went into the encapsulation comes out of it.
fn opened(name: impl Into<String>, frame: Vec<u8>, inner: Vec<u8>) -> Row {
    Row {
        name: name.into(),
        frame,
        verdict: Verdict::Pass,
        out: Out::Exactly(inner),
        counted: Counts::reason(Reason::Decapsulated),
    }
}

fn row(reason: Reason, what: &str, frame: Vec<u8>) -> Row {
    let verdict = match reason.verdict() {
        balancer_common::reason::Verdict::Pass => Verdict::Pass,
        balancer_common::reason::Verdict::Drop => Verdict::Drop,
    };
    let name = format!("{}: {what}", reason.name());
    Row::untouched(name, frame, verdict, Counts::reason(reason))
}

fn tcp4() -> Vec<u8> {
    Packet::tcp(VIP_V4).frame()
}

fn tcp6() -> Vec<u8> {
    Packet::tcp(VIP_V6).frame()
}

#[test]
fn what_went_into_each_encapsulation_comes_out_of_it() -> Result<()> {
    let mut rows = Vec::new();
    for outer in Outer::ALL {
        for (name, inner) in inners() {
            let frame = outer.around(&inner);
            rows.push(opened(format!("{name} in {outer:?}"), frame, inner));
        }
    }
    check(&Decap(Site::new()?), &rows)
}

#[test]
fn private_data_options_and_padding_are_left_behind() -> Result<()> {
    let mut rows = Vec::new();
    for words in [1, 2, 13, 31] {
        for outer in [Outer::GueIpv4, Outer::GueIpv6] {
            let name = format!("{words} words of private data in {outer:?}");
            let frame = outer.around_with(&tcp6(), &vec![0xaa; words * 4]);
            rows.push(opened(name, frame, tcp6()));
        }
    }
    let mut optioned = Outer::Ipv4.around(&tcp4());
    optioned.splice(34..34, [1; 8]);
    let length = (optioned.len() - 14) as u16;
    let optioned = put(put(optioned, 14, &[0x47]), 16, &length.to_be_bytes());
    let optioned = summed(optioned);
    rows.push(opened("options in the outer header", optioned, tcp4()));
    let inner = Packet::tcp(VIP_V4).options(&[1; 40]).frame();
    rows.push(opened(
        "options inside",
        Outer::GueIpv4.around(&inner),
        inner,
    ));
    for outer in Outer::ALL {
        let name = format!("padding behind {outer:?}");
        let frame = padded(outer.around(&tcp4()), 10);
        rows.push(opened(name, frame, padded(tcp4(), 10)));
    }
    let fragment = put(Packet::udp(VIP_V4).frame(), 20, &[0x20, 0]);
    rows.push(opened(
        "a fragment inside",
        Outer::Ipv4.around(&fragment),
        fragment,
    ));
    check(&Decap(Site::new()?), &rows)
}

#[test]
fn what_is_not_encapsulated_passes_untouched() -> Result<()> {
    use Reason::NotEncapsulated;
    let gue = Outer::GueIpv4.around(&tcp4());
    let rows = [
        row(
            NotEncapsulated,
            "TCP to the instance",
            Packet::tcp(OWN_V4).frame(),
        ),
        row(
            NotEncapsulated,
            "UDP to the instance",
            Packet::udp(OWN_V6).frame(),
        ),
        row(
            NotEncapsulated,
            "TCP port 6080",
            Packet::tcp(OWN_V4).ports(1, 6080).frame(),
        ),
        row(
            NotEncapsulated,
            "UDP from 6080",
            Packet::udp(OWN_V4).ports(6080, 1).frame(),
        ),
        row(
            NotEncapsulated,
            "UDP port 6081",
            put(gue.clone(), 36, &[0x17, 0xc1]),
        ),
        row(NotEncapsulated, "ARP", put(gue.clone(), 12, &[8, 6])),
        row(
            NotEncapsulated,
            "an IPv6 type before IPv4",
            put(gue.clone(), 12, &[0x86, 0xdd]),
        ),
        row(NotEncapsulated, "IHL 4", put(gue, 14, &[0x44])),
        row(
            NotEncapsulated,
            "ICMP",
            Packet::new(Transport::Other(1), OWN_V4).frame(),
        ),
        row(
            NotEncapsulated,
            "a fragment of something else",
            put(Packet::udp(OWN_V4).frame(), 20, &[0x20, 0]),
        ),
    ];
    check(&Decap(Site::new()?), &rows)
}

#[test]
fn only_edges_may_send_and_only_to_vips() -> Result<()> {
    use Reason::{InnerNotForVip, SourceNotAllowed};
    let mut rows = Vec::new();
    for outer in Outer::ALL {
        let frame = outer.around(&tcp4());
        // The last address of the prefix, the first behind it, and one far away.
        let (at, sources): (usize, [&[u8]; 3]) = match outer.is_ipv4() {
            true => (26, [&[10, 1, 0, 15], &[10, 1, 0, 16], &[192, 0, 2, 9]]),
            false => (37, [&[0x0f], &[0x10], &[0xff]]),
        };
        let frame = |source| match outer.is_ipv4() {
            true => summed(put(frame.clone(), at, source)),
            false => put(frame.clone(), at, source),
        };
        rows.push(opened(
            format!("the prefix's last, {outer:?}"),
            frame(sources[0]),
            tcp4(),
        ));
        for source in &sources[1..] {
            let name = format!("{source:?} by {outer:?}");
            rows.push(row(SourceNotAllowed, &name, frame(source)));
        }
        for other in [
            "198.51.100.11",
            "2001:db8::11",
            OWN_V4,
            "::ffff:198.51.100.10",
        ] {
            let frame = outer.around(&Packet::tcp(other).frame());
            rows.push(row(InnerNotForVip, &format!("{other} by {outer:?}"), frame));
        }
    }
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 0, 2];
    let frame = put(Outer::Ipv6.around(&tcp4()), 22, &mapped);
    rows.push(row(
        SourceNotAllowed,
        "an edge's IPv4 address in an IPv6 header",
        frame,
    ));
    check(&Decap(Site::new()?), &rows)
}

#[test]
fn broken_outer_headers_are_dropped() -> Result<()> {
    use Reason::BadOuterHeader;
    let mut rows = Vec::new();
    let plain4 = Outer::Ipv4.around(&tcp4());
    let gue4 = Outer::GueIpv4.around(&tcp4());
    let whole = (gue4.len() - 14) as u16;
    for (name, bits) in [("first", 0x2000_u16), ("middle", 0x2008), ("last", 0x0010)] {
        let of = |frame: &Vec<u8>| put(frame.clone(), 20, &bits.to_be_bytes());
        rows.push(row(
            BadOuterHeader,
            &format!("the {name} fragment of IPIP"),
            of(&plain4),
        ));
    }
    let first = put(gue4.clone(), 20, &[0x20, 0]);
    rows.push(row(BadOuterHeader, "the first fragment of GUE", first));
    // A later one has no port: that it is GUE is not to be seen.
    let last = put(gue4.clone(), 20, &[0, 1]);
    rows.push(row(
        Reason::NotEncapsulated,
        "a later fragment of GUE",
        last,
    ));
    for length in [0, 19, whole + 1, 0xffff] {
        for frame in [&plain4, &gue4] {
            let name = format!("total length {length}");
            let frame = put(frame.clone(), 16, &length.to_be_bytes());
            rows.push(row(BadOuterHeader, &name, frame));
        }
    }
    let options = put(put(plain4, 14, &[0x4f]), 16, &[0, 40]);
    rows.push(row(
        BadOuterHeader,
        "options longer than the packet",
        options,
    ));
    for outer in [Outer::Ipv6, Outer::GueIpv6] {
        let frame = outer.around(&tcp6());
        let whole = (frame.len() - 54) as u16;
        for length in [whole + 1, 0xffff] {
            let name = format!("payload length {length} of {outer:?}");
            let frame = put(frame.clone(), 18, &length.to_be_bytes());
            rows.push(row(BadOuterHeader, &name, frame));
        }
    }
    for (outer, at) in [(Outer::GueIpv4, 38), (Outer::GueIpv6, 58)] {
        let frame = outer.around(&tcp4());
        let whole = (frame.len() - at + 4) as u16;
        for length in [0, 7, 8, 12, whole - 1, whole + 1, 0xffff] {
            let name = format!("UDP length {length} of {outer:?}");
            let frame = put(frame.clone(), at, &length.to_be_bytes());
            rows.push(row(BadOuterHeader, &name, frame));
        }
    }
    check(&Decap(Site::new()?), &rows)
}

#[test]
fn gue_that_no_edge_sends_is_dropped() -> Result<()> {
    let mut rows = Vec::new();
    for (outer, at) in [(Outer::GueIpv4, 42), (Outer::GueIpv6, 62)] {
        for (name, header) in [
            ("variant 1", [0x40, 4, 0, 0]),
            ("variant 2", [0x80, 4, 0, 0]),
            ("variant 3", [0xc0, 4, 0, 0]),
            (
                "IPv4 without a header, as variant 1 has it",
                [0x45, 0, 0, 45],
            ),
            ("a control message", [0x20, 4, 0, 0]),
            ("the first flag", [0, 4, 0x80, 0]),
            ("the last flag", [0, 4, 0, 1]),
            ("private data beyond the packet", [0x1f, 4, 0, 0]),
            ("private data a word beyond the packet", [0x0c, 4, 0, 0]),
            ("TCP without IP", [0, 6, 0, 0]),
            ("no next header", [0, 59, 0, 0]),
        ] {
            let frame = put(outer.around(&tcp4()), at, &header);
            rows.push(row(
                Reason::BadGueHeader,
                &format!("{name}, {outer:?}"),
                frame,
            ));
        }
    }
    let bare = Packet::udp(OWN_V4).from(EDGE_V4).ports(1, 6080);
    for bytes in 0..4 {
        let frame = bare.clone().payload(&vec![0; bytes]).frame();
        let name = format!("a datagram of {bytes} bytes");
        rows.push(row(Reason::BadGueHeader, &name, frame));
    }
    check(&Decap(Site::new()?), &rows)
}

#[test]
fn broken_inner_packets_are_dropped() -> Result<()> {
    use Reason::BadInnerHeader;
    let mut rows = Vec::new();
    for outer in Outer::ALL {
        let mut spoil = |name: &str, inner: &[u8], at: usize, bytes: &[u8]| {
            // The outer header is that of the sound packet.
            let frame = outer.around(inner);
            let inner_at = frame.len() - (inner.len() - 14);
            let name = format!("{name}, {outer:?}");
            rows.push(row(BadInnerHeader, &name, put(frame, inner_at + at, bytes)));
        };
        let whole4 = (tcp4().len() - 14) as u16;
        let whole6 = (tcp6().len() - 54) as u16;
        spoil("version 6 as IPv4", &tcp4(), 0, &[0x65]);
        spoil("version 4 as IPv6", &tcp6(), 0, &[0x45]);
        for ihl in 0..5 {
            spoil(&format!("IHL {ihl}"), &tcp4(), 0, &[0x40 | ihl]);
        }
        spoil("IHL 15", &tcp4(), 0, &[0x4f]);
        for length in [0, 19, whole4 + 1, 0xffff] {
            let bytes = length.to_be_bytes();
            spoil(&format!("total length {length}"), &tcp4(), 2, &bytes);
        }
        for length in [whole6 + 1, 0xffff] {
            let bytes = length.to_be_bytes();
            spoil(&format!("payload length {length}"), &tcp6(), 4, &bytes);
        }
    }
    for (outer, at) in [(Outer::GueIpv4, 43), (Outer::GueIpv6, 63)] {
        let frame = put(outer.around(&tcp4()), at, &[41]);
        rows.push(row(
            BadInnerHeader,
            &format!("IPv4 told as IPv6, {outer:?}"),
            frame,
        ));
        let frame = put(outer.around(&tcp6()), at, &[4]);
        rows.push(row(
            BadInnerHeader,
            &format!("IPv6 told as IPv4, {outer:?}"),
            frame,
        ));
    }
    check(&Decap(Site::new()?), &rows)
}
