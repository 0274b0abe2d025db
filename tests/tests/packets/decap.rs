//! What an instance's agent takes out of its encapsulation, and what it leaves alone.

use anyhow::Result;
use aya::maps::{Map, MapData, ProgramArray};
use balancer_common::Reason;

use crate::agent::{Decap, OWN_V4, OWN_V6, Site, VIP_V4, VIP_V6};
use crate::counts::Counts;
use crate::frame::{Packet, Transport, padded, put, summed};
use crate::outer::{Outer, inner4, inner6};
use crate::row::{Out, Row, check};
use crate::run::Verdict;

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
pub(crate) fn opened(name: impl Into<String>, frame: Vec<u8>, inner: Vec<u8>) -> Row {
    Row {
        name: name.into(),
        frame,
        verdict: Verdict::Pass,
        out: Out::Exactly(inner),
        counted: Counts::reason(Reason::Decapsulated),
    }
}

// Promise: A2
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

// Promise: A2
#[test]
fn private_data_options_and_padding_are_left_behind() -> Result<()> {
    let mut rows = Vec::new();
    for words in [1, 2, 13, 31] {
        for outer in [Outer::GueIpv4, Outer::GueIpv6] {
            let name = format!("{words} words of private data in {outer:?}");
            let frame = outer.around_with(&inner6(), &vec![0xaa; words * 4]);
            rows.push(opened(name, frame, inner6()));
        }
    }
    let mut optioned = Outer::Ipv4.around(&inner4());
    optioned.splice(34..34, [1; 8]);
    let length = (optioned.len() - 14) as u16;
    let optioned = put(put(optioned, 14, &[0x47]), 16, &length.to_be_bytes());
    let optioned = summed(optioned);
    rows.push(opened("options in the outer header", optioned, inner4()));
    let inner = Packet::tcp(VIP_V4).options(&[1; 40]).frame();
    rows.push(opened(
        "options inside",
        Outer::GueIpv4.around(&inner),
        inner,
    ));
    for outer in Outer::ALL {
        let name = format!("padding behind {outer:?}");
        let frame = padded(outer.around(&inner4()), 10);
        rows.push(opened(name, frame, padded(inner4(), 10)));
    }
    let fragment = put(Packet::udp(VIP_V4).frame(), 20, &[0x20, 0]);
    rows.push(opened(
        "a fragment inside",
        Outer::Ipv4.around(&fragment),
        fragment,
    ));
    check(&Decap(Site::new()?), &rows)
}

/// The kernel empties a map of programs that nobody holds; the instance's own traffic must not depend on it.
#[test]
fn without_the_other_program_what_is_not_encapsulated_still_passes() -> Result<()> {
    let site = Site::new()?;
    let map = MapData::from_pin(site.pin("PROGRAMS"))?;
    let mut programs: ProgramArray<MapData> = Map::ProgramArray(map).try_into()?;
    programs.clear_index(&0)?;
    let frame = Packet::tcp(OWN_V4).frame();
    let rows = [Row::met(
        Reason::NotEncapsulated,
        "TCP to the instance",
        frame,
    )];
    check(&Decap(site), &rows)
}

// Promise: A2
#[test]
fn what_is_not_encapsulated_passes_untouched() -> Result<()> {
    use Reason::NotEncapsulated;
    let gue = Outer::GueIpv4.around(&inner4());
    let rows = [
        Row::met(
            NotEncapsulated,
            "TCP to the instance",
            Packet::tcp(OWN_V4).frame(),
        ),
        Row::met(
            NotEncapsulated,
            "UDP to the instance",
            Packet::udp(OWN_V6).frame(),
        ),
        Row::met(
            NotEncapsulated,
            "TCP port 6080",
            Packet::tcp(OWN_V4).ports(1, 6080).frame(),
        ),
        Row::met(
            NotEncapsulated,
            "UDP from 6080",
            Packet::udp(OWN_V4).ports(6080, 1).frame(),
        ),
        Row::met(
            NotEncapsulated,
            "UDP port 6081",
            put(gue.clone(), 36, &[0x17, 0xc1]),
        ),
        Row::met(NotEncapsulated, "ARP", put(gue.clone(), 12, &[8, 6])),
        Row::met(
            NotEncapsulated,
            "an IPv6 type before IPv4",
            put(gue.clone(), 12, &[0x86, 0xdd]),
        ),
        Row::met(NotEncapsulated, "IHL 4", put(gue, 14, &[0x44])),
        Row::met(
            NotEncapsulated,
            "ICMP",
            Packet::new(Transport::Other(1), OWN_V4).frame(),
        ),
        Row::met(
            NotEncapsulated,
            "a fragment of something else",
            put(Packet::udp(OWN_V4).frame(), 20, &[0x20, 0]),
        ),
    ];
    check(&Decap(Site::new()?), &rows)
}
