//! VIPs with more services than a line of the directory holds: found all the same, whatever came and went.

use anyhow::{Result, ensure};
use balancer_common::Reason::{NotForVip, UndeclaredPort};

use crate::counts::Counts;
use crate::edge::{ENCAPSULATIONS, Service, Site};
use crate::frame::Packet;
use crate::oracle;
use crate::run::Verdict;

/// A VIP of each family, and the backend of its first service.
const VIPS: [(&str, &str); 2] = [("198.51.100.1", "10.1.0.11"), ("2001:db8::4", "fd00:1::14")];

/// One more than the services of a VIP that has TCP and UDP 8000 already: over what either kind of line holds.
const PORTS: std::ops::Range<u16> = 9_001..9_005;

fn verdict(site: &Site, vip: &str, port: u16) -> Result<Verdict> {
    let frame = Packet::tcp(vip).ports(40_000, port).frame();
    Ok(site.run(&[frame])?.remove(0).verdict)
}

/// Ports up to `last` are declared, and those behind are not; other addresses are nobody's.
fn ensure_declared(site: &Site, vip: &str, last: u16) -> Result<()> {
    for port in PORTS.chain([8_000, 8_001]) {
        let declared = port == 8_000 || PORTS.start <= port && port < last;
        let expected = if declared {
            Verdict::Transmit
        } else {
            Verdict::of(UndeclaredPort)
        };
        let met = verdict(site, vip, port)?;
        ensure!(met == expected, "{vip} port {port}: {met:?}");
    }
    for stranger in ["198.51.100.200", "2001:db8::200"] {
        ensure!(verdict(site, stranger, 8_000)? == Verdict::of(NotForVip));
    }
    Ok(())
}

/// How many lines are marked full.
fn full_lines(site: &Site) -> Result<usize> {
    let contents = site.edge.map_contents(site.wire().0)?;
    let lines = contents
        .iter()
        .filter(|(name, line)| name.starts_with("DIRECTORY ") && line[..8] == [0xff; 8]);
    Ok(lines.count())
}

// Promise: E7
#[test]
fn any_number_of_services_of_a_vip_is_found_and_no_other_port() -> Result<()> {
    let mut site = Site::new(ENCAPSULATIONS)?;
    for (family, (vip, backend)) in VIPS.into_iter().enumerate() {
        for port in PORTS {
            let (name, port_text) = (format!("more{family}-{port}"), port.to_string());
            site.change(&["services", "add", &name, "--vip", vip, "--port", &port_text])?;
            site.change(&["backends", "add", &name, backend])?;
            ensure_declared(&site, vip, port + 1)?;
        }
    }
    ensure!(full_lines(&site)? == VIPS.len(), "{}", full_lines(&site)?);

    // A daemon that starts goes on with them, and empties the lines when there is room again.
    site.edge.kill();
    site.start_again()?;
    for (vip, _) in VIPS {
        ensure_declared(&site, vip, PORTS.end)?;
    }
    for (family, (vip, _)) in VIPS.into_iter().enumerate() {
        for port in PORTS.rev() {
            let name = format!("more{family}-{port}");
            site.change(&["services", "remove", &name, "--now", "--force"])?;
            ensure_declared(&site, vip, port)?;
        }
    }
    site.edge.kill();
    site.start_again()?;
    ensure!(full_lines(&site)? == 0, "{}", full_lines(&site)?);
    for (vip, _) in VIPS {
        ensure_declared(&site, vip, PORTS.start)?;
    }
    Ok(())
}

/// An edge's limit: half of each family, and of those half for TCP and half for UDP.
const ALL: usize = 4_096;

// Promise: E7
#[test]
fn as_many_services_as_an_edge_takes_are_found_each_for_itself() -> Result<()> {
    let services: Vec<Service> = (0..ALL / 4)
        .flat_map(|number| {
            let (high, low) = (number / 250, number % 250 + 1);
            [
                (format!("four{number}"), format!("198.18.{high}.{low}")),
                (
                    format!("six{number}"),
                    format!("2001:db8:1:{high:x}::{low:x}"),
                ),
            ]
        })
        .map(|(name, vip)| -> Service { (name.leak(), vip.leak(), "gue", &["10.1.0.11"]) })
        .collect();
    let site = Site::new(&services)?;
    let before = site.counts()?;
    let mut frames = Vec::new();
    let mut expected = Counts::default();
    for (name, vip, _, backends) in &services {
        for (protocol, packet) in [("tcp", Packet::tcp(vip)), ("udp", Packet::udp(vip))] {
            let frame = packet.ports(40_000, 8_000).frame();
            let whose = format!("{name}-{protocol}");
            let bytes = oracle::ip_packet(&frame).map_or(0, <[u8]>::len);
            expected = expected.plus(&Counts::backend(&whose, backends[0], bytes));
            frames.push(frame);
        }
    }
    ensure!(frames.len() == ALL);
    for ran in site.run(&frames)? {
        ensure!(ran.verdict == Verdict::Transmit, "{ran:?}");
    }
    let counted = site.counts()?.since(&before);
    assert_eq!(counted.only("packets to"), expected.only("packets to"));

    let strangers = services
        .iter()
        .map(|service| Packet::tcp(service.1).ports(40_000, 8_001).frame());
    for ran in site.run(&strangers.collect::<Vec<_>>())? {
        ensure!(ran.verdict == Verdict::of(UndeclaredPort), "{ran:?}");
    }
    Ok(())
}
