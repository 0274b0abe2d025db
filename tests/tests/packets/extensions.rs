//! IPv6 packets with extension headers.

use anyhow::Result;
use balancer_common::Reason;

use crate::echo::request;
use crate::edge::{ENCAPSULATIONS, Site, sent, to, vip};
use crate::frame::{BEHIND_IPV6, IP, Packet, put, tcp6, udp6};
use crate::row::{Out, Row, check};
use crate::run::Verdict;
use crate::tags::tagged;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// The frame with these headers between IPv6's and layer 4: kind and bytes, whose first is set.
pub(crate) fn with(frame: Vec<u8>, headers: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut next = frame[20];
    let mut bytes = Vec::new();
    for (kind, header) in headers.iter().rev() {
        let mut header = header.clone();
        header[0] = next;
        next = *kind;
        header.append(&mut bytes);
        bytes = header;
    }
    let mut frame = put(frame, 20, &[next]);
    frame.splice(BEHIND_IPV6..BEHIND_IPV6, bytes);
    let length = (frame.len() - BEHIND_IPV6) as u16;
    put(frame, 18, &length.to_be_bytes())
}

/// Options, all padding: so many times eight bytes.
fn options(eights: usize) -> Vec<u8> {
    let mut header = vec![0; eights * 8];
    header[1] = eights as u8 - 1;
    header
}

/// A routing header of a type without meaning, with so many segments left.
fn routing(left: u8) -> Vec<u8> {
    vec![
        0, 2, 253, left, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8,
    ]
}

/// A fragment header: offset in eights of bytes, and whether more follow.
pub(crate) fn fragment(offset: u16, more: bool, id: u32) -> Vec<u8> {
    let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
    let mut header = vec![0, 0, high, low];
    header.extend(id.to_be_bytes());
    header
}

fn chains() -> Vec<Vec<(u8, Vec<u8>)>> {
    vec![
        vec![(HOP_BY_HOP, options(1))],
        vec![(DESTINATION, options(3))],
        vec![(DESTINATION, options(32))],
        vec![(ROUTING, routing(0))],
        // Whole, and yet in a fragment header (RFC 6946).
        vec![(FRAGMENT, fragment(0, false, 9))],
        vec![
            (HOP_BY_HOP, options(2)),
            (DESTINATION, options(1)),
            (ROUTING, routing(0)),
            (FRAGMENT, fragment(0, false, 9)),
            (DESTINATION, options(4)),
        ],
        vec![(DESTINATION, options(1)); 6],
    ]
}

/// Samples for frames that something goes wrong with.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let mut frames: Vec<_> = chains()
        .iter()
        .map(|chain| with(tcp6().frame(), chain))
        .collect();
    frames.push(tagged(with(udp6().frame(), &chains()[5]), &[0x81, 0, 0, 7]));
    frames
}

// Promise: E16
#[test]
fn extension_headers_are_stepped_over_and_travel_inside() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for name in ["gue64", "gue66", "ip6ip6"] {
        for (protocol, packet) in [
            ("tcp", Packet::tcp(vip(name))),
            ("udp", Packet::udp(vip(name))),
        ] {
            let plain = packet.frame();
            let flow = site.run(std::slice::from_ref(&plain))?.remove(0).frame;
            for chain in chains() {
                let frame = with(plain.clone(), &chain);
                let what = format!("{name} {protocol} {chain:?}");
                // Behind the same outer header, but for its lengths.
                let mut out = flow[..flow.len() - (plain.len() - IP)].to_vec();
                out.extend_from_slice(&frame[IP..]);
                let more = (frame.len() - plain.len()) as u16;
                let longer = |out: Vec<u8>, at: usize| {
                    let length = u16::from_be_bytes([out[at], out[at + 1]]) + more;
                    put(out, at, &length.to_be_bytes())
                };
                let out = match name {
                    "gue64" => crate::frame::summed(longer(longer(out, 16), 38)),
                    "gue66" => longer(longer(out, 18), 58),
                    _ => longer(out, 18),
                };
                rows.push(Row {
                    name: what.clone(),
                    counted: to(name, protocol, frame.len() - IP),
                    verdict: Verdict::Transmit,
                    out: Out::Exactly(out),
                    frame: frame.clone(),
                });
                let tagged = tagged(frame, &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8]);
                rows.push(sent(&format!("{what}, tagged"), name, protocol, tagged));
            }
        }
    }
    check(&site, &rows)
}

// Promise: E16
#[test]
fn what_has_not_arrived_or_cannot_be_read_is_dropped() -> Result<()> {
    use Reason::{BadTotalLength, NotForVip, UndeclaredPort, UnsupportedProtocol};
    let site = Site::new(ENCAPSULATIONS)?;
    let frame = tcp6().frame();
    let one = |kind, header| with(frame.clone(), &[(kind, header)]);
    let mut rows = vec![
        Row::met(
            UnsupportedProtocol,
            "a segment left",
            one(ROUTING, routing(1)),
        ),
        Row::met(
            UnsupportedProtocol,
            "seven headers",
            with(frame.clone(), &vec![(DESTINATION, options(1)); 7]),
        ),
        Row::met(
            UnsupportedProtocol,
            "hop-by-hop options behind others",
            with(
                frame.clone(),
                &[(DESTINATION, options(1)), (HOP_BY_HOP, options(1))],
            ),
        ),
        Row::met(
            BadTotalLength,
            "a later fragment's header in the padding",
            put(
                with(
                    frame.clone(),
                    &[(DESTINATION, options(1)), (FRAGMENT, fragment(3, true, 9))],
                ),
                18,
                &[0, 15],
            ),
        ),
        Row::met(
            UnsupportedProtocol,
            "two fragment headers",
            with(frame.clone(), &vec![(FRAGMENT, fragment(0, false, 9)); 2]),
        ),
        Row::met(UnsupportedProtocol, "mobility", one(135, options(1))),
        Row::met(UnsupportedProtocol, "authentication", one(51, options(2))),
        Row::met(
            UnsupportedProtocol,
            "a ping behind options",
            with(request(vip("gue66")).frame(), &[(DESTINATION, options(1))]),
        ),
        Row::met(
            UnsupportedProtocol,
            "no next header",
            put(one(DESTINATION, options(1)), BEHIND_IPV6, &[59]),
        ),
        Row::met(
            UndeclaredPort,
            "port 22",
            with(tcp6().ports(1, 22).frame(), &[(HOP_BY_HOP, options(1))]),
        ),
        Row::met(
            NotForVip,
            "another address",
            with(
                Packet::tcp("2001:db8::200").frame(),
                &[(ROUTING, routing(1))],
            ),
        ),
        Row::met(
            BadTotalLength,
            "options that end behind the packet",
            put(one(DESTINATION, options(1)), BEHIND_IPV6 + 1, &[200]),
        ),
    ];
    // Cut off anywhere, while the header tells the truth about the length.
    let whole = with(
        udp6().frame(),
        &[(HOP_BY_HOP, options(2)), (FRAGMENT, fragment(0, false, 9))],
    );
    for length in BEHIND_IPV6..whole.len() - 5 {
        let told = (length - BEHIND_IPV6) as u16;
        let cut = put(whole[..length].to_vec(), 18, &told.to_be_bytes());
        rows.push(Row::met(BadTotalLength, &format!("{length} bytes"), cut));
    }
    check(&site, &rows)
}
