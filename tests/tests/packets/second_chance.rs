//! What an agent does with a packet that has alternates, by what its sockets know.

use std::io::Read;

use anyhow::{Context, Result};
use balancer_common::Reason;

use crate::agent::{Decap, HandOn, Site, VIP_V4, VIP_V6};
use crate::counts::Counts;
use crate::decap::opened;
use crate::errors::{KINDS, about};
use crate::frame::{IP, PORT, Packet, Transport, put, summed};
use crate::outer::{Outer, inner4};
use crate::row::{Out, Row, check};
use crate::run::Verdict;
use crate::sockets::Sockets;

pub(crate) const BOTH: [Outer; 2] = [Outer::GueIpv4, Outer::GueIpv6];

/// An address of the fabric, as it stands in an outer header.
fn host(outer: Outer, host: u8) -> Vec<u8> {
    match outer.is_ipv4() {
        true => vec![10, 1, 0, host],
        false => vec![0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host],
    }
}

/// The instance's own address.
pub(crate) fn own(outer: Outer) -> u8 {
    if outer.is_ipv4() { 11 } else { 0x11 }
}

fn private(outer: Outer, head: [u8; 4], alternates: &[u8]) -> Vec<u8> {
    let mut private = head.to_vec();
    for alternate in alternates {
        private.extend(host(outer, *alternate));
    }
    private
}

/// Private data to spoil: of an edge's, and of each kind of packet that was handed on.
pub(crate) fn samples(outer: Outer) -> Vec<Vec<u8>> {
    [
        ([1, 1, 0, 0], &[21][..]),
        ([1, 3, 0, 0], &[21, 22, 23]),
        ([1, 2, 1, 0b0010], &[20, 22]),
        ([1, 2, 2, 0], &[20, 21]),
        ([1, 2, 2, 1], &[11, 21]),
        ([1, 1, 0, 0], &[own(outer)]),
    ]
    .into_iter()
    .map(|(head, alternates)| private(outer, head, alternates))
    .collect()
}

/// A packet in GUE with alternates, from an edge.
pub(crate) fn with(outer: Outer, inner: &[u8], head: [u8; 4], alternates: &[u8]) -> Vec<u8> {
    outer.around_with(inner, &private(outer, head, alternates))
}

/// The same from another backend.
pub(crate) fn from(outer: Outer, source: u8, frame: Vec<u8>) -> Vec<u8> {
    match outer.is_ipv4() {
        true => summed(put(frame, 26, &host(outer, source))),
        false => put(frame, 22, &host(outer, source)),
    }
}

/// The row of a frame that goes on to `next` with this private data.
pub(crate) fn goes_on(
    name: String,
    reason: Reason,
    outer: Outer,
    frame: Vec<u8>,
    next: u8,
    (head, alternates): ([u8; 4], &[u8]),
) -> Row {
    let private = private(outer, head, alternates);
    let out = match outer.is_ipv4() {
        true => {
            // As an edge sends it: no identification, not to be fragmented, 64 hops.
            let out = put(frame.clone(), 18, &[0, 0, 0x40, 0, 64]);
            let out = put(out, 26, &host(outer, own(outer)));
            let out = put(out, 30, &host(outer, next));
            summed(put(out, 46, &private))
        }
        false => {
            let out = put(frame.clone(), 21, &[64]);
            let out = put(out, 22, &host(outer, own(outer)));
            let out = put(out, 38, &host(outer, next));
            put(out, 66, &private)
        }
    };
    Row {
        name,
        frame,
        verdict: Verdict::Mark,
        out: Out::Exactly(out),
        counted: Counts::reason(reason),
    }
}

/// The row of a packet that goes on to its first alternate.
pub(crate) fn handed_on(outer: Outer, inner: &[u8]) -> Row {
    let frame = from(outer, 2, with(outer, inner, [1, 1, 0, 0], &[21]));
    let after: (_, &[u8]) = ([1, 1, 1, 0], &[own(outer)]);
    let name = format!("handed on in {outer:?}");
    goes_on(name, Reason::HandedOn, outer, frame, 21, after)
}

/// The row of a packet that goes up the stack as it was sent, and is counted as `reason`.
pub(crate) fn delivered(name: String, reason: Reason, frame: Vec<u8>, inner: &[u8]) -> Row {
    Row {
        counted: Counts::reason(reason),
        ..opened(name, frame, inner.to_vec())
    }
}

/// Each step of a packet that nobody knows, as the agent meets it in each place.
// Promise: M3
#[test]
fn what_no_socket_knows_goes_to_each_alternate_and_returns() -> Result<()> {
    use Reason::{HandedOn, NoAlternateLeft, ReturnedHome};
    let mut rows = Vec::new();
    for outer in BOTH {
        let own = own(outer);
        for inner in [
            Packet::tcp(VIP_V4).frame(),
            Packet::tcp(VIP_V6).tos(0xb9).frame(),
        ] {
            let mut row = |reason, source, head, before: &[u8], next, after: ([u8; 4], &[u8])| {
                let frame = from(outer, source, with(outer, &inner, head, before));
                let name = format!("{head:?} {before:?}, {outer:?}");
                rows.push(goes_on(name, reason, outer, frame, next, after));
            };
            row(HandedOn, 2, [1, 1, 0, 0], &[21], 21, ([1, 1, 1, 0], &[own]));
            let after: (_, &[u8]) = ([1, 2, 1, 0], &[own, 22]);
            row(HandedOn, 2, [1, 2, 0, 0], &[21, 22], 21, after);
            let after: (_, &[u8]) = ([1, 3, 1, 0], &[own, 22, 23]);
            row(HandedOn, 2, [1, 3, 0, 0], &[21, 22, 23], 21, after);
            let after: (_, &[u8]) = ([1, 3, 2, 0], &[20, own, 23]);
            row(HandedOn, 20, [1, 3, 1, 0], &[20, 22, 23], 22, after);
            let after: (_, &[u8]) = ([1, 3, 3, 0], &[20, 21, own]);
            row(HandedOn, 21, [1, 3, 2, 0], &[20, 21, 23], 23, after);
            let after: (_, &[u8]) = ([1, 3, 3, 1], &[20, 21, 22]);
            row(ReturnedHome, 22, [1, 3, 3, 0], &[20, 21, 22], 20, after);
            // To whom has had weak evidence.
            let after: (_, &[u8]) = ([1, 3, 3, 7], &[20, 21, 22]);
            row(ReturnedHome, 22, [1, 3, 3, 6], &[20, 21, 22], 21, after);
            let home = from(outer, 23, with(outer, &inner, [1, 2, 2, 1], &[own, 21]));
            let name = format!("at home again, {outer:?}");
            rows.push(delivered(name, NoAlternateLeft, home, &inner));
        }
    }
    check(&Decap(Site::crowded()?), &rows)?;
    check(&Decap(Site::new()?), &rows)
}

// Promise: E15, M3
#[test]
fn what_a_socket_knows_is_delivered() -> Result<()> {
    let bench = Decap(Site::new()?);
    for vip in [VIP_V4, VIP_V6] {
        let mut sockets = Sockets::open(&bench.0, vip)?;
        let known = sockets.segment(vip)?.frame();
        let mut rows = Vec::new();
        for outer in BOTH {
            let name = |what| format!("{what} of {vip}, {outer:?}");
            let frame = with(outer, &known, [1, 1, 0, 0], &[21]);
            let row = delivered(name("established"), Reason::Decapsulated, frame, &known);
            rows.push(row);
            let frame = from(outer, 20, with(outer, &known, [1, 2, 1, 0], &[20, 22]));
            let row = delivered(name("handed on"), Reason::SecondChance, frame, &known);
            rows.push(row);
            // Another flow meets only the listener.
            let other = sockets.segment(vip)?.ports(9, PORT).frame();
            let frame = with(outer, &other, [1, 1, 0, 0], &[21]);
            let after: (_, &[u8]) = ([1, 1, 1, 0], &[own(outer)]);
            let name = name("a listener");
            rows.push(goes_on(name, Reason::HandedOn, outer, frame, 21, after));
        }
        check(&bench, &rows)?;
        let port = sockets.client.local_addr()?.port();
        check(&bench, &errors(&sockets, vip, port)?)?;

        // The server closes first: its side is in time-wait.
        let _ = sockets.server.shutdown(std::net::Shutdown::Both);
        let mut end = Vec::new();
        sockets.client.read_to_end(&mut end).context("the end")?;
        sockets.client.shutdown(std::net::Shutdown::Both)?;
        let error = sockets.error(vip, port)?;
        let mut rows = Vec::new();
        for outer in BOTH {
            for (what, inner) in [("a segment", &known), ("an error", &error)] {
                let name = format!("{what} in time-wait of {vip}, {outer:?}");
                let frame = with(outer, inner, [1, 2, 0, 0], &[21, 22]);
                let after: (_, &[u8]) = ([1, 2, 1, 2], &[own(outer), 22]);
                let row = goes_on(name.clone(), Reason::HandedOn, outer, frame, 21, after);
                rows.push(row);
                let frame = from(outer, 20, with(outer, inner, [1, 1, 1, 0], &[20]));
                rows.push(delivered(name, Reason::NoAlternateLeft, frame, inner));
            }
        }
        check(&bench, &rows)?;
    }
    Ok(())
}

/// Errors about the connection stay where it is, and those about another flow go on.
fn errors(sockets: &Sockets, vip: &str, port: u16) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for outer in BOTH {
        let name = |what| format!("an error about {what} of {vip}, {outer:?}");
        let known = sockets.error(vip, port)?;
        let frame = with(outer, &known, [1, 1, 0, 0], &[21]);
        let row = delivered(name("a connection"), Reason::Decapsulated, frame, &known);
        rows.push(row);
        let frame = from(outer, 20, with(outer, &known, [1, 2, 1, 0], &[20, 22]));
        let row = delivered(name("one handed on"), Reason::SecondChance, frame, &known);
        rows.push(row);
        let home = from(
            outer,
            23,
            with(outer, &known, [1, 2, 2, 1], &[own(outer), 21]),
        );
        let row = delivered(
            name("one at home again"),
            Reason::NoAlternateLeft,
            home,
            &known,
        );
        rows.push(row);
        let other = sockets.error(vip, 9)?;
        let frame = with(outer, &other, [1, 1, 0, 0], &[21]);
        let after: (_, &[u8]) = ([1, 1, 1, 0], &[own(outer)]);
        let name = name("what nobody knows");
        rows.push(goes_on(name, Reason::HandedOn, outer, frame, 21, after));
    }
    Ok(rows)
}

// Promise: M3
#[test]
fn what_opens_a_connection_or_is_none_stays() -> Result<()> {
    let mut rows = Vec::new();
    for outer in BOTH {
        let syn = put(inner4(), 47, &[0x02]);
        let fragment = put(Packet::tcp(VIP_V4).frame(), 20, &[0x20, 0]);
        let datagram = Packet::new(Transport::Udp, "203.0.113.9")
            .from(VIP_V4)
            .frame();
        let error = about(KINDS[1], VIP_V4, &datagram[IP..], 28);
        let redirect = about([5, 1, 10, 0, 0, 1], VIP_V4, &datagram[IP..], 28);
        for (what, inner) in [
            ("SYN", syn),
            ("UDP", Packet::udp(VIP_V6).frame()),
            ("a fragment", fragment),
            ("an error about UDP", error),
            ("what is no error", redirect),
            (
                "an error about no port",
                about(KINDS[1], VIP_V4, &datagram[IP..], 20),
            ),
        ] {
            let frame = with(outer, &inner, [1, 1, 0, 0], &[21]);
            rows.push(opened(format!("{what}, {outer:?}"), frame, inner));
        }
        // 10.9.0.21 and fd00:9::15 are no peers.
        let at = if outer.is_ipv4() { (51, 9) } else { (73, 9) };
        let frame = with(outer, &inner4(), [1, 1, 0, 0], &[21]);
        let frame = put(frame, at.0, &[at.1]);
        let name = format!("no peer, {outer:?}");
        rows.push(delivered(name, Reason::NoAlternateLeft, frame, &inner4()));
    }
    check(&Decap(Site::new()?), &rows)
}

/// Alternates that lie: in what, their head, and they themselves.
pub(crate) fn lies(outer: Outer) -> Vec<(String, [u8; 4], Vec<u8>)> {
    let own = own(outer);
    let mut lies: Vec<(String, [u8; 4], Vec<u8>)> = [
        ("none", [1, 0, 0, 0], &[][..]),
        ("none, and one there", [1, 0, 0, 0], &[21]),
        ("four", [1, 4, 0, 0], &[21, 22, 23, 24]),
        ("255", [1, 255, 0, 0], &[21]),
        ("more visited than there are", [1, 2, 3, 0], &[21, 22]),
        ("one, and two there", [1, 1, 0, 0], &[21, 22]),
        ("two, and one there", [1, 2, 0, 0], &[21]),
        ("two, and three there", [1, 2, 0, 0], &[21, 22, 23]),
        ("three, and two there", [1, 3, 0, 0], &[21, 22]),
        ("a flag that there is not", [1, 1, 0, 0x10], &[21]),
        ("a place without evidence", [1, 2, 2, 4], &[21, 22]),
        (
            "evidence of who was not visited",
            [1, 3, 1, 6],
            &[21, 22, 23],
        ),
        ("the agent itself, visited", [1, 2, 1, 0], &[own, 22]),
        ("the agent itself, to be visited", [1, 2, 1, 0], &[20, own]),
        (
            "the agent itself, to be visited next",
            [1, 3, 1, 0],
            &[20, own, 23],
        ),
        (
            "the agent itself, to be visited last",
            [1, 3, 1, 0],
            &[20, 22, own],
        ),
        (
            "the agent itself, as the only one left",
            [1, 3, 2, 0],
            &[20, 21, own],
        ),
    ]
    .into_iter()
    .map(|(what, head, alternates)| (what.to_owned(), head, alternates.to_vec()))
    .collect();
    for count in 1..=3 {
        for place in 0..count {
            let mut alternates = [21, 22, 23][..count].to_vec();
            alternates[place] = own;
            let what = format!("the agent itself, {} of {count}", place + 1);
            lies.push((what, [1, count as u8, 0, 0], alternates));
        }
    }
    lies
}

// Promise: M4
#[test]
fn alternates_that_lie_are_dropped() -> Result<()> {
    let mut rows = Vec::new();
    for outer in BOTH {
        for (what, head, alternates) in lies(outer) {
            // From an edge, and from a peer.
            for source in [2, 20] {
                let frame = from(outer, source, with(outer, &inner4(), head, &alternates));
                let name = format!("{what}, from {source}, {outer:?}");
                rows.push(Row::met(Reason::BadAlternates, &name, frame));
            }
        }
    }
    check(&Decap(Site::new()?), &rows)
}

// Promise: M4
#[test]
fn a_peer_may_hand_on_and_nothing_else() -> Result<()> {
    let mut rows = Vec::new();
    for outer in BOTH {
        for (what, frame) in [
            ("no alternates", outer.around(&inner4())),
            ("not handed on", with(outer, &inner4(), [1, 1, 0, 0], &[21])),
            ("another form", with(outer, &inner4(), [2, 1, 1, 0], &[21])),
        ] {
            let frame = from(outer, 20, frame);
            let name = format!("{what}, {outer:?}");
            rows.push(Row::met(Reason::SourceNotAllowed, &name, frame));
        }
    }
    let frame = summed(put(Outer::Ipv4.around(&inner4()), 26, &[10, 1, 0, 20]));
    rows.push(Row::met(Reason::SourceNotAllowed, "IPv4 in IPv4", frame));
    check(&Decap(Site::new()?), &rows)
}

#[test]
fn what_is_not_marked_is_left_to_the_stack() -> Result<()> {
    let rows: Vec<Row> = [inner4(), with(BOTH[0], &inner4(), [1, 1, 1, 0], &[21])]
        .into_iter()
        .map(|frame| Row::untouched("unmarked", frame, Verdict::Pass, Counts::default()))
        .collect();
    check(&HandOn(Site::new()?), &rows)
}
