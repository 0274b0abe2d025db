//! Frames with XDP frags: what is longer than a page, and what a driver splits in front of the payload.

use anyhow::Result;
use balancer_common::Reason;

use crate::agent::{self, Decap, VIP_V4, VIP_V6};
use crate::decap::opened;
use crate::echo::{answered, reply, request};
use crate::edge::{ENCAPSULATIONS, Site, sent, vip};
use crate::frame::{IP, Packet, Transport, put, summed};
use crate::outer::Outer;
use crate::row::{Row, check};
use crate::second_chance;
use crate::tags::tagged;
use crate::too_large::{FITS, told, told_behind};

/// What the interfaces take, bytes.
const MTU: u32 = 9_216;

const TRANSPORTS: [(&str, Transport); 2] = [("tcp", Transport::Tcp), ("udp", Transport::Udp)];

/// A payload of so many bytes.
fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n / 7) as u8).collect()
}

/// The frame, with an IP header that tells of so many bytes more.
fn longer(frame: Vec<u8>, bytes: u16) -> Vec<u8> {
    let at = if frame[12] == 8 { IP + 2 } else { IP + 4 };
    let length = u16::from_be_bytes([frame[at], frame[at + 1]]) + bytes;
    let frame = put(frame, at, &length.to_be_bytes());
    if at == IP + 2 { summed(frame) } else { frame }
}

// Promise: E20
#[test]
fn each_encapsulation_carries_frames_with_frags() -> Result<()> {
    let site = Site::with_mtu(ENCAPSULATIONS, MTU)?;
    let mut rows = Vec::new();
    for (name, vip, ..) in ENCAPSULATIONS.iter().filter(|s| s.0 != "elsewhere") {
        for (protocol, transport) in TRANSPORTS {
            for bytes in [3_400, 3_600, 9_000] {
                let frame = Packet::new(transport, vip).payload(&payload(bytes)).frame();
                let what = format!("{bytes} bytes, {name} {protocol}");
                rows.push(sent(&what, name, protocol, frame.clone()));
                let frame = tagged(frame, &[0x81, 0, 0, 7]);
                rows.push(sent(&format!("{what}, tagged"), name, protocol, frame));
            }
        }
    }
    let options = Packet::udp(vip("gue44")).options(&[1; 40]);
    let options = options.payload(&payload(9_000)).frame();
    rows.push(sent("options", "gue44", "udp", options));
    check(&site, &rows)
}

// Promise: E20
#[test]
fn who_sends_more_than_fits_in_frags_is_told() -> Result<()> {
    let site = Site::with_mtu(ENCAPSULATIONS, MTU)?;
    let mut rows = Vec::new();
    for (name, fits) in FITS {
        for (protocol, transport) in TRANSPORTS {
            let packet = Packet::new(transport, vip(name)).payload(&payload(9_170));
            let row = || {
                let fits = fits + MTU as u16 - 1_600;
                told(&format!("{name} {protocol}"), packet.frame(), fits)
            };
            rows.push(row());
            rows.push(told_behind(&[0x81, 0, 0, 7], row()));
        }
    }
    check(&site, &rows)
}

// Promise: E20
#[test]
fn what_is_not_in_any_buffer_is_dropped() -> Result<()> {
    let site = Site::with_mtu(ENCAPSULATIONS, MTU)?;
    let mut rows = Vec::new();
    for vip in [vip("gue44"), vip("gue66")] {
        let frame = Packet::tcp(vip).payload(&payload(8_000)).frame();
        for cut in [1, 4_000] {
            let cut = frame[..frame.len() - cut].to_vec();
            let behind = tagged(cut.clone(), &[0x81, 0, 0, 7]);
            rows.push(Row::met(Reason::BadTotalLength, "cut off", cut));
            rows.push(Row::met(Reason::BadTotalLength, "cut off, tagged", behind));
        }
        let longer = longer(frame, 1);
        rows.push(Row::met(Reason::BadTotalLength, "longer", longer));
    }
    let stranger = Packet::tcp("198.51.100.200").payload(&payload(8_000));
    let name = "another address";
    rows.push(Row::met(Reason::NotForVip, name, stranger.frame()));
    check(&site, &rows)
}

// Promise: E20
#[test]
fn an_echo_request_with_frags_is_answered() -> Result<()> {
    let site = Site::with_mtu(ENCAPSULATIONS, MTU)?;
    let rows = [vip("gue44"), vip("gue66")].map(|vip| {
        let frame = request(vip).payload(&payload(8_000)).frame();
        answered(vip.to_owned(), frame, reply(vip, &payload(8_000), 0))
    });
    check(&site, &rows)
}

/// A driver may end the first buffer anywhere. Headers are read in it, and nowhere else.
// Promise: E20
#[test]
fn headers_must_be_in_the_first_buffer() -> Result<()> {
    let mut site = Site::new(ENCAPSULATIONS)?;
    let tcp = |name| Packet::tcp(vip(name)).payload(&payload(600)).frame();
    // Behind TCP's flags; within them; behind the destination address; within that; and in front of everything.
    let mut whole = vec![sent("IPv4", "ipip", "tcp", tcp("ipip"))];
    whole.push(sent("IPv6", "gue66", "tcp", tcp("gue66")));
    site.split(|frame| if frame[12] == 8 { 48 } else { 68 });
    check(&site, &whole)?;
    for (first, reason) in [
        ((|_| 47) as fn(&[u8]) -> usize, Reason::BadTotalLength),
        (|_| 34, Reason::BadTotalLength),
        (|_| 33, Reason::ShortFrame),
        (|_| 14, Reason::ShortFrame),
    ] {
        site.split(first);
        check(&site, &[Row::met(reason, "split", tcp("ipip"))])?;
    }
    let large = Packet::tcp(vip("ipip")).payload(&payload(1_560)).frame();
    site.split(|_| 14 + 511);
    let silent = Row::met(Reason::TooLarge, "split", large.clone());
    check(&site, &[silent])?;
    site.split(|_| 14 + 512);
    check(&site, &[told("split", large, 1_580)])
}

// Promise: E20
#[test]
fn what_went_into_each_encapsulation_comes_out_of_frags() -> Result<()> {
    let mut rows = Vec::new();
    for outer in Outer::ALL {
        for (vip, (protocol, transport)) in [VIP_V4, VIP_V6].into_iter().zip(TRANSPORTS) {
            let inner = Packet::new(transport, vip).payload(&payload(9_000)).frame();
            let frame = outer.around(&inner);
            let name = format!("{protocol} in {outer:?}");
            rows.push(opened(&name, frame.clone(), inner.clone()));
            let cut = frame[..frame.len() - 1].to_vec();
            rows.push(Row::met(Reason::BadOuterHeader, &name, cut));
            let mut inside = frame;
            let ip = inside.len() - (inner.len() - IP);
            inside.truncate(ip);
            inside.extend_from_slice(&longer(inner, 1)[IP..]);
            rows.push(Row::met(Reason::BadInnerHeader, &name, inside));
        }
    }
    check(&Decap(agent::Site::new()?), &rows)
}

// Promise: E20
#[test]
fn what_no_socket_knows_goes_on_in_frags() -> Result<()> {
    let inner = Packet::tcp(VIP_V4).payload(&payload(8_000)).frame();
    let rows =
        [Outer::GueIpv4, Outer::GueIpv6].map(|outer| second_chance::handed_on(outer, &inner));
    check(&Decap(agent::Site::new()?), &rows)
}
