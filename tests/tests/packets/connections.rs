//! What an agent does with the packets of a connection that its sockets know: honest ones, and others.

use std::io::{self, Read};
use std::net::Shutdown;
use std::time::Duration;

use anyhow::{Result, ensure};
use balancer_common::Reason;
use testbed::wait_for;

use crate::agent::{Decap, OWN_V4, OWN_V6, Site, VIP_V4, VIP_V6};
use crate::frame::{PORT, padded, put, summed};
use crate::outer::Outer;
use crate::row::{Row, check};
use crate::second_chance::{BOTH, delivered, from, lies, own, with};
use crate::sockets::Sockets;

/// One, two and three alternates, as an edge sends them.
const HONEST: [([u8; 4], &[u8]); 3] = [
    ([1, 1, 0, 0], &[21]),
    ([1, 2, 0, 0], &[21, 22]),
    ([1, 3, 0, 0], &[21, 22, 23]),
];

// Promise: M3
#[test]
fn a_connections_packet_is_delivered_as_it_was_sent_with_any_alternates() -> Result<()> {
    let bench = Decap(Site::new()?);
    for vip in [VIP_V4, VIP_V6] {
        let sockets = Sockets::open(&bench.0, vip)?;
        let segment = sockets.segment(vip)?;
        let mut rows = Vec::new();
        for (what, segment) in [
            ("a segment", segment.clone()),
            ("a short one", segment.clone().payload(&[])),
            ("a long one", segment.clone().payload(&[7; 1_400])),
            ("one with a class", segment.tos(0xb9)),
        ] {
            let known = segment.frame();
            for outer in BOTH {
                for (head, alternates) in HONEST {
                    let name = format!("{what} of {vip}, {head:?}, {outer:?}");
                    let frame = with(outer, &known, head, alternates);
                    let (frame, known) = (padded(frame, 6), padded(known.clone(), 6));
                    rows.push(delivered(name, Reason::Decapsulated, frame, &known));
                }
            }
        }
        check(&bench, &rows)?;
    }
    Ok(())
}

// Promise: M4
#[test]
fn a_connections_packet_whose_alternates_lie_is_dropped_all_the_same() -> Result<()> {
    let bench = Decap(Site::new()?);
    for vip in [VIP_V4, VIP_V6] {
        let sockets = Sockets::open(&bench.0, vip)?;
        let known = sockets.segment(vip)?.frame();
        let mut rows = Vec::new();
        for outer in BOTH {
            for (what, head, alternates) in lies(outer) {
                let frame = with(outer, &known, head, &alternates);
                let name = format!("{what}, to {vip}, {outer:?}");
                rows.push(Row::met(Reason::BadAlternates, &name, frame));
            }
            for (head, alternates) in HONEST {
                for words in [-1, 1] {
                    let frame = with(outer, &known, head, alternates);
                    let hlen = frame[gue(outer)].wrapping_add_signed(words);
                    let name = format!("{head:?} in {hlen} words, to {vip}, {outer:?}");
                    let frame = put(frame, gue(outer), &[hlen]);
                    rows.push(Row::met(Reason::BadAlternates, &name, frame));
                }
            }
        }
        check(&bench, &rows)?;
    }
    Ok(())
}

/// Where the GUE header stands; UDP's is in front of it.
fn gue(outer: Outer) -> usize {
    if outer.is_ipv4() { 42 } else { 62 }
}

/// The same reasons as of any packet.
// Promise: M4
#[test]
fn a_connections_packet_that_must_not_come_in_does_not() -> Result<()> {
    let bench = Decap(Site::new()?);
    for vip in [VIP_V4, VIP_V6] {
        let sockets = Sockets::open(&bench.0, vip)?;
        let known = sockets.segment(vip)?.frame();
        let mut rows = Vec::new();
        for outer in BOTH {
            for (head, alternates) in HONEST {
                let whole = with(outer, &known, head, alternates);
                for (reason, what, frame) in wrong(outer, &known, &whole) {
                    let name = format!("{what}, {head:?}, to {vip}, {outer:?}");
                    rows.push(Row::met(reason, &name, frame));
                }
            }
        }
        check(&bench, &rows)?;
    }
    Ok(())
}

/// What may be wrong with a packet around an inner frame, but for its alternates.
fn wrong(outer: Outer, inner: &[u8], whole: &[u8]) -> Vec<(Reason, &'static str, Vec<u8>)> {
    use Reason::{
        BadGueHeader, BadInnerHeader, BadOuterHeader, CongestionLost, NotEncapsulated,
        SourceNotAllowed,
    };
    let gue = gue(outer);
    let whole = || whole.to_vec();
    let lengthened = |at: usize, by: i16| {
        let frame = whole();
        let length = u16::from_be_bytes([frame[at], frame[at + 1]]).wrapping_add_signed(by);
        put(frame, at, &length.to_be_bytes())
    };
    let inner_at = whole().len() - (inner.len() - 14);
    let inner_length = inner_at + if inner[12] == 8 { 2 } else { 4 };
    let no_version = inner[14] & 0xf;
    let mut wrong = vec![
        (
            BadOuterHeader,
            "UDP of a byte less",
            lengthened(gue - 4, -1),
        ),
        (BadOuterHeader, "UDP of a byte more", lengthened(gue - 4, 1)),
        (NotEncapsulated, "another port", put(whole(), gue - 6, &[0])),
        (BadGueHeader, "a control message", {
            put(whole(), gue, &[whole()[gue] | 0x20])
        }),
        (BadGueHeader, "a GUE flag", put(whole(), gue + 3, &[1])),
        (BadGueHeader, "UDP inside", put(whole(), gue + 1, &[17])),
        (SourceNotAllowed, "from a peer", from(outer, 20, whole())),
        (
            BadInnerHeader,
            "a byte more inside",
            lengthened(inner_length, 1),
        ),
        (
            BadInnerHeader,
            "no version inside",
            put(whole(), inner_at, &[no_version]),
        ),
    ];
    match outer.is_ipv4() {
        true => {
            let fragment = summed(put(whole(), 20, &[0x20]));
            wrong.push((BadOuterHeader, "a fragment", fragment));
            let longer = summed(lengthened(16, 1));
            wrong.push((BadOuterHeader, "a byte more outside", longer));
            let marked = summed(put(whole(), 15, &[3]));
            wrong.push((CongestionLost, "congestion", marked));
            let stranger = summed(put(whole(), 26, &[203, 0, 113, 1]));
            wrong.push((SourceNotAllowed, "from a stranger", stranger));
        }
        false => {
            let longer = lengthened(18, 1);
            wrong.push((BadOuterHeader, "a byte more outside", longer));
            let marked = put(whole(), 14, &[0x60, 0x30]);
            wrong.push((CongestionLost, "congestion", marked));
            let stranger = put(whole(), 22, &[0x20, 1, 0x0d, 0xb8]);
            wrong.push((SourceNotAllowed, "from a stranger", stranger));
        }
    }
    wrong
}

// Promise: M4
#[test]
fn a_connection_to_what_is_no_vip_is_not_reached() -> Result<()> {
    let bench = Decap(Site::new()?);
    for address in [OWN_V4, OWN_V6] {
        let sockets = Sockets::open(&bench.0, address)?;
        let known = sockets.segment(address)?.frame();
        let mut rows = Vec::new();
        for outer in BOTH {
            for (head, alternates) in HONEST {
                let frame = with(outer, &known, head, alternates);
                let name = format!("{head:?}, to {address}, {outer:?}");
                rows.push(Row::met(Reason::InnerNotForVip, &name, frame));
            }
        }
        check(&bench, &rows)?;
    }
    Ok(())
}

/// A way to end a connection halfway.
type Closing = fn(&mut Sockets) -> io::Result<()>;

/// Each state that the server's side can be kept in, as `ss` calls it.
const CLOSING: [(&str, Closing); 4] = [
    ("fin-wait-1", |sockets| {
        sockets.fill()?;
        sockets.server.shutdown(Shutdown::Write)
    }),
    ("fin-wait-2", |sockets| {
        sockets.server.shutdown(Shutdown::Write)
    }),
    ("close-wait", |sockets| {
        sockets.client.shutdown(Shutdown::Write)
    }),
    ("last-ack", |sockets| {
        sockets.fill()?;
        sockets.client.shutdown(Shutdown::Write)?;
        // The end has come.
        sockets.server.read_exact(&mut [0]).unwrap_err();
        sockets.server.shutdown(Shutdown::Write)
    }),
];

// Promise: M3
#[test]
fn a_connection_that_is_closing_is_known() -> Result<()> {
    let bench = Decap(Site::new()?);
    for vip in [VIP_V4, VIP_V6] {
        let first = Sockets::open(&bench.0, vip)?;
        for (state, close) in CLOSING {
            let mut sockets = first.another(&bench.0)?;
            close(&mut sockets)?;
            let port = sockets.client.local_addr()?.port();
            wait_for(state, Duration::from_secs(5), || {
                let ends = format!("( sport = :{PORT} and dport = :{port} )");
                let instance = &bench.0.instance;
                let found = instance.run("ss", &["-Htn", "state", state, &ends])?;
                ensure!(!found.is_empty(), "no socket in it");
                Ok(())
            })?;
            let segment = sockets.segment(vip)?.frame();
            let error = sockets.error(vip, port)?;
            let rows: Vec<Row> = BOTH
                .iter()
                .flat_map(|outer| {
                    [
                        (*outer, "a segment", &segment),
                        (*outer, "an error", &error),
                    ]
                })
                .flat_map(|(outer, what, inner)| {
                    let name = format!("{what} in {state} of {vip}, {outer:?}");
                    let first = with(outer, inner, [1, 1, 0, 0], &[21]);
                    let later = from(outer, 20, with(outer, inner, [1, 2, 1, 0], &[20, 22]));
                    let home = with(outer, inner, [1, 2, 2, 1], &[own(outer), 21]);
                    let home = from(outer, 23, home);
                    [
                        delivered(name.clone(), Reason::Decapsulated, first, inner),
                        delivered(name.clone(), Reason::SecondChance, later, inner),
                        delivered(name, Reason::NoAlternateLeft, home, inner),
                    ]
                })
                .collect();
            check(&bench, &rows)?;
        }
    }
    Ok(())
}
