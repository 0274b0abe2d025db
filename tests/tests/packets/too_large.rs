//! Packets that do not fit the way to their backend, and who is told.

use anyhow::Result;
use balancer_common::Reason;

use crate::counts::Counts;
use crate::edge::{ENCAPSULATIONS, Site, vip};
use crate::extensions::with;
use crate::frame::{EDGE, IP, Packet, ROUTER, Transport, put, summed, tcp4};
use crate::oracle;
use crate::row::{Out, Row, check};
use crate::run::Verdict;
use crate::tags::tagged;

/// What fits, whatever alternates travel: the interface takes 1,600 bytes.
pub(crate) const FITS: &[(&str, u16)] = &[
    ("gue44", 1_552),
    ("gue46", 1_496),
    ("gue64", 1_552),
    ("gue66", 1_496),
    ("ipip", 1_580),
    ("ip6ip6", 1_560),
    ("ip4in6", 1_560),
    ("routed", 1_552),
];

/// A row of a packet whose sender is told so, in the words of another library.
pub(crate) fn told(name: &str, frame: Vec<u8>, mtu: u16) -> Row {
    let [high, low] = mtu.to_be_bytes();
    let packet = &frame[IP..];
    let (kind, client, vip) = match frame[12] {
        8 => {
            let address = |at: usize| {
                let octets: [u8; 4] = packet[at..at + 4].try_into().expect("four bytes");
                std::net::IpAddr::from(octets)
            };
            ([3, 4, 0, 0, high, low], address(12), address(16))
        }
        _ => {
            let address = |at: usize| {
                let octets: [u8; 16] = packet[at..at + 16].try_into().expect("sixteen bytes");
                std::net::IpAddr::from(octets)
            };
            ([2, 0, 0, 0, high, low], address(8), address(24))
        }
    };
    let message = Packet::new(Transport::Icmp(kind), &client.to_string()).from(&vip.to_string());
    let out = message.payload(&packet[..512]).frame();
    let out = put(put(out, 0, &ROUTER), 6, &EDGE);
    let out = match vip.is_ipv4() {
        true => summed(put(put(out, IP + 4, &[0, 0]), IP + 8, &[64])),
        false => put(put(out, IP, &[0x60, 0, 0, 0]), IP + 7, &[64]),
    };
    Row {
        name: name.to_owned(),
        frame,
        verdict: Verdict::Transmit,
        out: Out::Exactly(out),
        counted: Counts::reason(Reason::ToldTooLarge),
    }
}

/// The same, both with these tags.
pub(crate) fn told_behind(tags: &[u8], row: Row) -> Row {
    let Out::Exactly(out) = row.out else {
        return row;
    };
    Row {
        name: format!("{} behind {tags:02x?}", row.name),
        frame: tagged(row.frame, tags),
        out: Out::Exactly(tagged(out, tags)),
        ..row
    }
}

/// A packet of so many bytes.
fn of(transport: Transport, vip: &str, bytes: usize) -> Vec<u8> {
    let ip = if vip.contains(':') { 40 } else { 20 };
    let header = if transport == Transport::Tcp { 20 } else { 8 };
    let payload: Vec<u8> = (0..bytes - ip - header).map(|n| n as u8).collect();
    Packet::new(transport, vip).payload(&payload).frame()
}

// Promise: E19
#[test]
fn who_sends_what_does_not_fit_is_told_in_the_vips_name() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let mut rows = Vec::new();
    for (name, mtu) in FITS {
        for transport in [Transport::Tcp, Transport::Udp] {
            let what = format!("{name} {transport:?}");
            let frame = of(transport, vip(name), 1_590);
            rows.push(told(&what, frame.clone(), *mtu));
            if *name == "gue44" || *name == "gue66" {
                for tags in [&[0x81, 0, 0, 7][..], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8]] {
                    rows.push(told_behind(tags, told(&what, frame.clone(), *mtu)));
                }
            }
        }
    }
    let options = tcp4().options(&[1; 12]).payload(&[7; 1_540]).frame();
    rows.push(told("options", options, 1_552));
    let chain = with(
        of(Transport::Udp, vip("gue66"), 1_550),
        &[(
            60,
            vec![
                0, 2, 1, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
        )],
    );
    rows.push(told("an extension header", chain, 1_496));
    check(&site, &rows)
}

// Promise: E19
#[test]
fn what_nobody_can_be_told_about_is_dropped_in_silence() -> Result<()> {
    use Reason::TooLarge;
    let site = Site::new(ENCAPSULATIONS)?;
    let large = of(Transport::Udp, vip("gue44"), 1_590);
    let error = Packet::new(Transport::Icmp([3, 1, 0, 0, 0, 0]), vip("gue44"));
    let quoted = Packet::tcp("192.0.2.2").from(vip("gue44")).ports(8_000, 9);
    let error = error.payload(&quoted.payload(&[9; 1_530]).frame()[IP..]);
    let rows = [
        Row::met(
            TooLarge,
            "it may be fragmented",
            put(large.clone(), IP + 6, &[0, 0]),
        ),
        Row::met(TooLarge, "a fragment", put(large, IP + 6, &[0x60, 0])),
        Row::met(TooLarge, "an error", error.frame()),
    ];
    check(&site, &rows)
}

// Promise: E19
#[test]
fn no_more_than_a_burst_and_one_a_millisecond_are_told() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let frames = vec![of(Transport::Tcp, vip("gue44"), 1_590); 600];
    let before = site.counts()?;
    let start = std::time::Instant::now();
    let ran = site.run(&frames)?;
    let passed = start.elapsed();
    let told = ran.iter().filter(|ran| ran.verdict == Verdict::Transmit);
    let told = told.count();
    // The clock is coarse: a tick of it is at most ten milliseconds.
    let each = 50 + passed.as_millis() as usize + 10;
    let cpus = std::thread::available_parallelism()?.get();
    assert!(
        (50..=cpus * each).contains(&told),
        "{told} told in {passed:?} by {cpus} CPUs"
    );
    assert!(told < 600, "nothing was held back in {passed:?}");
    let mut expected = Counts::default();
    for (frame, ran) in frames.iter().zip(&ran) {
        oracle::judge(frame, ran).map_err(anyhow::Error::msg)?;
        expected = expected.plus(&Counts::reason(match ran.verdict {
            Verdict::Transmit => Reason::ToldTooLarge,
            _ => Reason::TooLarge,
        }));
    }
    assert_eq!(site.counts()?.since(&before), expected);
    Ok(())
}
