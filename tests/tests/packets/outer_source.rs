//! Outer sources that vary with the flow, where the outer header has no port to do so.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use etherparse::IpSlice;
use ipnet::IpNet;

use crate::edge::{ENCAPSULATIONS, Prefixes, Site, vip};
use crate::frame::{Packet, put, summed};
use crate::oracle;
use crate::row::Bench as _;

const WIDE: Prefixes = ["10.64.0.0/16", "fd00:64::/64"];
/// Encapsulations without a port, and those with one.
const WITHOUT: [&str; 3] = ["ipip", "ip6ip6", "ip4in6"];
const WITH: [&str; 4] = ["gue44", "gue46", "gue64", "gue66"];

/// Packets of so many flows.
fn flows(service: &str, count: u16) -> Vec<Vec<u8>> {
    let packet = Packet::tcp(vip(service));
    let flow = |n| packet.clone().ports(10_000 + n, 8_000).frame();
    (0..count).map(flow).collect()
}

/// The outer sources of frames that are sent, each judged.
fn sources(site: &Site, frames: &[Vec<u8>]) -> Result<Vec<IpAddr>> {
    let ran = site.run(frames)?;
    let judged = frames.iter().zip(&ran).map(|(frame, ran)| {
        site.judge(frame, ran).map_err(anyhow::Error::msg)?;
        let packet = oracle::ip_packet(&ran.frame).map_err(anyhow::Error::msg)?;
        ensure!(packet.len() > frame.len() - 14, "it was not sent");
        Ok(IpSlice::from_slice(packet)?.source_addr())
    });
    judged.collect()
}

/// The prefix that a backend of this service is sent to from.
fn prefix(prefixes: Prefixes, service: &str) -> Result<IpNet> {
    let ipv6 = ["ip6ip6", "ip4in6", "gue46", "gue66"].contains(&service);
    prefixes[usize::from(ipv6)].parse().context("a prefix")
}

// Promise: E21
#[test]
fn the_outer_source_is_the_flows_own_within_its_prefix() -> Result<()> {
    let site = Site::within(ENCAPSULATIONS, WIDE)?;
    for service in WITHOUT {
        let frames = flows(service, 512);
        let first = sources(&site, &frames)?;
        assert_eq!(first, sources(&site, &frames)?, "a flow keeps its source");
        let prefix = prefix(WIDE, service)?;
        assert!(first.iter().all(|source| prefix.contains(source)));
        let several: BTreeSet<_> = first.iter().collect();
        // Of 65,536 places two of 512 flows meet in two on average.
        assert!(several.len() > 500, "{} in {service}", several.len());
    }
    Ok(())
}

// Promise: E21
#[test]
fn a_narrow_prefix_is_used_to_its_last_address() -> Result<()> {
    let narrow = ["10.64.0.16/30", "fd00:64::10/126"];
    let site = Site::within(ENCAPSULATIONS, narrow)?;
    for service in WITHOUT {
        let several: BTreeSet<_> = sources(&site, &flows(service, 64))?.into_iter().collect();
        let hosts: BTreeSet<_> = match prefix(narrow, service)? {
            IpNet::V4(prefix) => (0..4)
                .map(|n| IpAddr::from((u32::from(prefix.addr()) + n).to_be_bytes()))
                .collect(),
            IpNet::V6(prefix) => (0..4)
                .map(|n| IpAddr::from((u128::from(prefix.addr()) + n).to_be_bytes()))
                .collect(),
        };
        assert_eq!(several, hosts, "{service}");
    }
    Ok(())
}

// Promise: E21
#[test]
fn with_a_port_the_outer_source_is_the_prefixs_first_address() -> Result<()> {
    let site = Site::within(ENCAPSULATIONS, WIDE)?;
    for service in WITH {
        let first = prefix(WIDE, service)?.addr();
        let came = sources(&site, &flows(service, 64))?;
        assert!(came.iter().all(|source| *source == first), "{service}");
    }
    Ok(())
}

/// A prefix of one address is that address, and the only difference that a wider one makes is the source.
// Promise: E21
#[test]
fn nothing_else_of_the_outer_header_changes() -> Result<()> {
    let plain = Site::new(ENCAPSULATIONS)?;
    let one = Site::within(ENCAPSULATIONS, ["10.1.0.2/32", "fd00:1::2/128"])?;
    let wide = Site::within(ENCAPSULATIONS, WIDE)?;
    for service in WITHOUT.into_iter().chain(WITH) {
        let frames = flows(service, 8);
        let expected = plain.run(&frames)?;
        assert_eq!(one.run(&frames)?, expected, "{service}");
        for (mut expected, came) in expected.into_iter().zip(wide.run(&frames)?) {
            expected.frame = match expected.frame[12] {
                8 => summed(put(expected.frame, 26, &came.frame[26..30])),
                _ => put(expected.frame, 22, &came.frame[22..38]),
            };
            assert_eq!(came, expected, "{service}");
        }
    }
    Ok(())
}
