//! Packets for a service that has no backend, no way to it, or no room on the way.
//!
//! One reason is missing here: `no_table` can't be met by anything that an operator does, because a
//! table is there before its service and goes after it. It is tried in user space, beside the function.

use anyhow::Result;
use balancer_common::Reason;

use crate::counts::Counts;
use crate::edge::{ENCAPSULATIONS, Service, Site, sent, vip};
use crate::frame::{Packet, Transport, padded};
use crate::oracle;
use crate::row::{Bench, Row, check};
use crate::run::{Ran, Verdict};
use crate::too_large::told;

/// Beside backends that can be reached: one that no route leads to, and one without neighbour.
const LOST: &[Service] = &[
    ("gue44", "198.51.100.1", "gue", &["10.1.0.11"]),
    ("no-route", "198.51.100.21", "gue", &["203.0.113.9"]),
    ("no-neighbour", "198.51.100.22", "gue", &["10.4.0.9"]),
    ("emptied", "198.51.100.23", "ipip", &["10.1.0.24"]),
];

// Promise: E11
#[test]
fn without_a_backend_or_a_way_to_it_packets_are_dropped() -> Result<()> {
    use Reason::{NoBackend, NoNextHop};
    let mut site = Site::new(LOST)?;
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
        site.change(&[&remove[..], &["--force"]].concat())?;
    }
    let rows = [
        Row::met(NoNextHop, "no route", Packet::tcp("198.51.100.21").frame()),
        Row::met(
            NoNextHop,
            "no neighbour",
            Packet::udp("198.51.100.22").frame(),
        ),
        Row::met(NoBackend, "TCP", Packet::tcp("198.51.100.23").frame()),
        Row::met(NoBackend, "UDP", Packet::udp("198.51.100.23").frame()),
    ];
    check(&site, &rows)
}

/// The interface takes 1,600 bytes: less the outer header, that is the longest inner packet.
// Promise: E11
#[test]
fn what_does_not_fit_the_next_hop_is_not_sent() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for (name, longest, told_mtu) in [
        ("gue44", 1_568, 1_552),
        ("gue46", 1_548, 1_496),
        ("gue64", 1_568, 1_552),
        ("gue66", 1_548, 1_496),
        ("ipip", 1_580, 1_580),
        ("ip6ip6", 1_560, 1_560),
        ("ip4in6", 1_560, 1_560),
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
        rows.push(told(&format!("{name}: a byte more"), frame, told_mtu));
        // Padding is no part of the packet.
        let frame = padded(of(longest), 8);
        rows.push(sent(&format!("{name}: padded"), name, "tcp", frame));
    }
    check(&site, &rows)
}

/// Of the room that the kernel keeps free in front of a frame, 216 bytes may be taken by metadata
/// of a program that ran before.
// Promise: E11
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
        check(&short, &[Row::met(Reason::NoHeadroom, name, frame)])?;
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
