//! Services that hash by source: a client's packets, errors and fragments go to one backend.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Result, ensure};
use balancer_common::Reason;

use crate::edge::{Service, Site};
use crate::errors::{KINDS, KINDS_V6, about};
use crate::extensions::with;
use crate::fragments::split;
use crate::frame::{IP, PORT, Packet, Transport};
use crate::oracle;
use crate::row::Bench as _;
use crate::run::Verdict;

/// Several backends each, so that a client's own one is to be found.
pub(crate) const SERVICES: &[Service] = &[
    (
        "source4",
        "198.51.100.71",
        "gue",
        &["10.1.0.71", "10.1.0.72", "10.1.0.73", "10.1.0.74"],
    ),
    (
        "source6",
        "2001:db8::72",
        "ip6ip6",
        &["fd00:1::71", "fd00:1::72", "fd00:1::73", "fd00:1::74"],
    ),
];

const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::Udp];

fn client(vip: &str, n: u16) -> String {
    if vip.contains(':') {
        format!("fd00:2::{n:x}")
    } else {
        format!("192.0.2.{n}")
    }
}

/// A client's packet from this port.
fn packet(transport: Transport, vip: &str, client_address: &str, port: u16) -> Packet {
    let packet = Packet::new(transport, vip).from(client_address);
    packet.ports(port, PORT).payload(&[5; 100])
}

/// Samples for frames that something goes wrong with.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for (_, vip, ..) in SERVICES {
        for (id, transport) in (1..).zip(TRANSPORTS) {
            let whole = packet(transport, vip, &client(vip, 9), 40_000).frame();
            let mut pieces = split(&whole, &[48, 72], id);
            pieces.reverse();
            frames.extend(pieces);
        }
    }
    frames
}

/// Runs frames that must all go to one backend, and gives its address.
fn together(site: &Site, frames: &[Vec<u8>]) -> Result<IpAddr> {
    let ran = site.run(frames)?;
    let mut ways = BTreeSet::new();
    for (frame, ran) in frames.iter().zip(&ran) {
        ensure!(
            ran.verdict == Verdict::Transmit,
            "{:?} of {frame:02x?}",
            ran.verdict
        );
        site.judge(frame, ran).map_err(anyhow::Error::msg)?;
        ways.insert(oracle::way(&ran.frame).map_err(anyhow::Error::msg)?.0);
    }
    ensure!(ways.len() == 1, "{ways:?} of {} frames", frames.len());
    Ok(ways.into_iter().next().expect("one"))
}

/// Tries it for many clients of every service: each backend is reached, too.
fn for_clients(site: &Site, frames: impl Fn(Transport, &str, &str) -> Vec<Vec<u8>>) -> Result<()> {
    for (_, vip, _, backends) in SERVICES {
        for transport in TRANSPORTS {
            let mut reached = BTreeSet::new();
            for n in 1..64 {
                let frames = frames(transport, vip, &client(vip, n));
                reached.insert(together(site, &frames)?.to_string());
            }
            let backends: BTreeSet<_> = backends.iter().map(|b| (*b).to_owned()).collect();
            ensure!(reached == backends, "{vip}: {reached:?}");
        }
    }
    Ok(())
}

// Promise: E18
#[test]
fn packets_of_a_client_go_to_one_backend_whatever_their_ports() -> Result<()> {
    let site = Site::new(SERVICES)?;
    for_clients(&site, |transport, vip, client| {
        let ports = [1, 1_024, 10_007, 40_000, 65_535];
        let packets = ports.map(|port| packet(transport, vip, client, port).frame());
        packets.to_vec()
    })
}

// Promise: E18
#[test]
fn an_error_goes_where_the_client_goes_whose_packet_it_quotes() -> Result<()> {
    let site = Site::new(SERVICES)?;
    for_clients(&site, |transport, vip, client| {
        let (kinds, header) = match vip.contains(':') {
            true => (KINDS_V6, 40),
            false => (KINDS, 20),
        };
        let mut frames = vec![packet(transport, vip, client, 40_000).frame()];
        for (port, kind) in (7_000..).zip(kinds) {
            let answer = Packet::new(transport, client).from(vip).ports(PORT, port);
            let answer = answer.payload(&[3; 100]).frame();
            frames.push(about(*kind, vip, &answer[IP..], header + 8));
        }
        frames
    })
}

// Promise: E18
#[test]
fn fragments_of_a_client_go_to_its_backend_in_any_order() -> Result<()> {
    let site = Site::new(SERVICES)?;
    for_clients(&site, |transport, vip, client| {
        let whole = packet(transport, vip, client, 40_000).frame();
        let pieces = split(&whole, &[24, 48], 100);
        // Each packet has an id of its own, so that nothing of the others is known.
        let last_alone = split(&whole, &[24, 48], 101).pop();
        [2, 1, 0]
            .map(|n: usize| pieces[n].clone())
            .into_iter()
            .chain(last_alone)
            .chain([whole])
            .collect()
    })
}

// Promise: E18
#[test]
fn a_later_fragment_needs_its_first_where_it_could_be_of_two_services() -> Result<()> {
    let mut site = Site::new(SERVICES)?;
    let (dropped, sent) = (Verdict::of(Reason::Fragment), Verdict::Transmit);
    let mut id = 100;
    let mut verdicts = |site: &Site, transport, vip: &str, order: [usize; 3]| -> Result<_> {
        id += 1;
        let whole = packet(transport, vip, &client(vip, 7), 40_000).frame();
        let pieces = split(&whole, &[24, 48], id);
        let ran = site.run(&order.map(|n| pieces[n].clone()))?;
        Ok(ran.into_iter().map(|ran| ran.verdict).collect::<Vec<_>>())
    };
    for ((_, vip, _, backends), hash) in SERVICES.iter().zip(["source", "flow"]) {
        let add = [
            "services", "add", "beside", "--vip", vip, "--port", "8001", "--hash", hash,
        ];
        site.change(&[&add[..], &["--protocol", "udp"]].concat())?;
        site.change(&["backends", "add", "beside", backends[0]])?;
        let udp = Transport::Udp;
        assert_eq!(
            verdicts(&site, udp, vip, [2, 1, 0])?,
            [dropped, dropped, sent]
        );
        assert_eq!(verdicts(&site, udp, vip, [0, 2, 1])?, [sent; 3]);
        assert_eq!(verdicts(&site, Transport::Tcp, vip, [2, 1, 0])?, [sent; 3]);

        site.change(&["services", "remove", "beside", "--now", "--force"])?;
        assert_eq!(verdicts(&site, udp, vip, [2, 1, 0])?, [sent; 3]);
        // So it is for a daemon that starts again, too.
        site.edge.kill();
        site.start_again()?;
        assert_eq!(verdicts(&site, udp, vip, [2, 1, 0])?, [sent; 3]);
    }
    Ok(())
}

// Promise: E18
#[test]
fn only_tcp_and_udp_to_the_services_port_go_by_source() -> Result<()> {
    let site = Site::new(SERVICES)?;
    for (_, vip, ..) in SERVICES {
        for transport in TRANSPORTS {
            let stranger = packet(transport, vip, &client(vip, 7), 40_000).ports(40_000, 22);
            let no_port = stranger.clone().ports(40_000, 0);
            let first = split(&stranger.frame(), &[24, 48], 1).remove(0);
            for frame in [stranger.frame(), no_port.frame(), first] {
                let ran = site.run(&[frame])?.remove(0);
                assert_eq!(ran.verdict, Verdict::of(Reason::UndeclaredPort));
            }
        }
        let icmp = Packet::new(Transport::Other(47), vip).payload(&[5; 100]);
        let later = split(&icmp.frame(), &[24, 48], 2).remove(1);
        let ran = site.run(&[later])?.remove(0);
        assert_eq!(ran.verdict, Verdict::of(Reason::Fragment));
    }
    Ok(())
}

/// Fragments of IPv6 may begin with options, which later ones then name in place of UDP.
// Promise: E18
#[test]
fn a_later_fragment_that_names_no_protocol_follows_its_first() -> Result<()> {
    let site = Site::new(SERVICES)?;
    let (_, vip, ..) = SERVICES[1];
    let whole = packet(Transport::Udp, vip, &client(vip, 7), 40_000).frame();
    let pieces = split(&with(whole.clone(), &[(60, vec![0; 8])]), &[24, 48], 3);
    let alone = site.run(&[pieces[2].clone()])?.remove(0);
    assert_eq!(alone.verdict, Verdict::of(Reason::Fragment));
    let frames = [pieces[0].clone(), pieces[2].clone(), whole];
    together(&site, &frames)?;
    Ok(())
}
