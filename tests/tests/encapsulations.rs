//! Every encapsulation end to end: what the instances answer, and what an independent parser sees on the wire.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use etherparse::{NetSlice, SlicedPacket, TcpOptionElement, TransportSlice};
use testbed::{Capture, Protocol, Site, Topology, Workload, World, assert_native_xdp};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// Bytes of an upload: many segments, and windows that have to open.
const UPLOAD: usize = 2_000_000;

fn v4() -> IpAddr {
    Topology::vip_v4(10).into()
}

fn v6() -> IpAddr {
    Topology::vip_v6(0x10).into()
}

fn workload(vip: IpAddr, protocol: Protocol, encapsulation: &str, over_ipv6: bool) -> Workload {
    Workload {
        encapsulation: encapsulation.to_owned(),
        over_ipv6: Some(over_ipv6),
        ..Workload::new(vip, protocol)
    }
}

/// What stands around the packet for the VIP, from the outside: `IPv6, GUE, IPv4`; `None` for frames
/// that carry nothing for it, or carry it bare.
fn around(frame: &[u8], vip: IpAddr) -> Option<String> {
    let outer = SlicedPacket::from_ethernet(frame).ok()?;
    let net = outer.net?;
    let (gue, inner) = match outer.transport {
        Some(TransportSlice::Udp(udp)) if udp.destination_port() == 6080 => {
            let [0, 4 | 41, 0, 0] = udp.payload().get(..4)? else {
                return Some(format!(
                    "a strange GUE header {:x?}",
                    udp.payload().get(..4)
                ));
            };
            (", GUE", &udp.payload()[4..])
        }
        _ => ("", net.ip_payload_ref()?.payload),
    };
    let inner = SlicedPacket::from_ip(inner).ok()?.net?;
    let (family, destination) = of(&inner)?;
    let (outer_family, _) = of(&net)?;
    (destination == vip).then(|| format!("{outer_family}{gue}, {family}"))
}

fn of(net: &NetSlice<'_>) -> Option<(&'static str, IpAddr)> {
    match net {
        NetSlice::Ipv4(ipv4) => Some(("IPv4", ipv4.header().destination_addr().into())),
        NetSlice::Ipv6(ipv6) => Some(("IPv6", ipv6.header().destination_addr().into())),
        _ => None,
    }
}

/// All instances answer, and what reaches them is `wanted` and nothing else.
fn reaches_all_three_as(workload: Workload, wanted: &str) -> Result<()> {
    let world = World::new()?;
    let vip = workload.target.ip();
    let site = Site::start(&world, &NAMES, workload)?;
    let capture = Capture::start(&site.topology.router)?;
    site.balanced(&NAMES)?;
    let frames = capture.frames()?;
    let seen: BTreeSet<String> = frames
        .iter()
        .filter_map(|frame| around(frame, vip))
        .collect();
    assert_eq!(
        seen,
        BTreeSet::from([wanted.to_owned()]),
        "of {} frames",
        frames.len()
    );
    Ok(())
}

#[test]
fn tcp_over_ipv4_by_gue() -> Result<()> {
    reaches_all_three_as(
        workload(v4(), Protocol::Tcp, "gue", false),
        "IPv4, GUE, IPv4",
    )
}

#[test]
fn tcp_over_ipv6_by_gue() -> Result<()> {
    reaches_all_three_as(
        workload(v6(), Protocol::Tcp, "gue", true),
        "IPv6, GUE, IPv6",
    )
}

#[test]
fn tcp_to_an_ipv4_vip_with_ipv6_backends_by_gue() -> Result<()> {
    reaches_all_three_as(
        workload(v4(), Protocol::Tcp, "gue", true),
        "IPv6, GUE, IPv4",
    )
}

#[test]
fn tcp_to_an_ipv6_vip_with_ipv4_backends_by_gue() -> Result<()> {
    reaches_all_three_as(
        workload(v6(), Protocol::Tcp, "gue", false),
        "IPv4, GUE, IPv6",
    )
}

#[test]
fn tcp_by_ipip() -> Result<()> {
    reaches_all_three_as(workload(v4(), Protocol::Tcp, "ipip", false), "IPv4, IPv4")
}

#[test]
fn tcp_by_ip6ip6() -> Result<()> {
    reaches_all_three_as(workload(v6(), Protocol::Tcp, "ip6ip6", true), "IPv6, IPv6")
}

#[test]
fn tcp_by_ip4in6() -> Result<()> {
    reaches_all_three_as(workload(v4(), Protocol::Tcp, "ip4in6", true), "IPv6, IPv4")
}

#[test]
fn udp_to_an_ipv4_vip_with_ipv6_backends_by_gue() -> Result<()> {
    reaches_all_three_as(
        workload(v4(), Protocol::Udp, "gue", true),
        "IPv6, GUE, IPv4",
    )
}

#[test]
fn udp_by_ipip() -> Result<()> {
    reaches_all_three_as(workload(v4(), Protocol::Udp, "ipip", false), "IPv4, IPv4")
}

/// The MSS of the SYN-ACKs from the VIP among these frames.
fn announced(frames: &[Vec<u8>], vip: IpAddr) -> BTreeSet<u16> {
    let mss = |frame: &Vec<u8>| {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let source: IpAddr = match packet.net? {
            NetSlice::Ipv4(ipv4) => ipv4.header().source_addr().into(),
            NetSlice::Ipv6(ipv6) => ipv6.header().source_addr().into(),
            _ => return None,
        };
        let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
            return None;
        };
        if source != vip || !(tcp.syn() && tcp.ack()) {
            return None;
        }
        tcp.options_iterator().find_map(|option| match option {
            Ok(TcpOptionElement::MaximumSegmentSize(mss)) => Some(mss),
            _ => None,
        })
    };
    frames.iter().filter_map(mss).collect()
}

/// In a fabric of 1500 bytes, full-sized segments fit because the client is told so.
fn an_upload_is_quick_in_a_fabric_of_1500_bytes(workload: Workload, mss: u16) -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &NAMES)?;
    topology.set_fabric_mtu(1500)?;
    let site = Site::on(&world, topology, workload)?;
    assert_native_xdp(&site.topology.edge, "eth0")?;
    let file = world.directory().join("upload");
    std::fs::write(&file, vec![b'x'; UPLOAD])?;
    let from = format!("@{}", file.display());
    let url = format!("http://{}/upload", site.workload.target);
    let client = &site.topology.client;
    let capture = Capture::start(client)?;
    let upload = [
        "--silent",
        "--show-error",
        "--fail",
        "--globoff",
        "--max-time",
        "30",
    ];
    for _ in 0..3 {
        let started = Instant::now();
        let arguments = [&upload[..], &["--data-binary", &from, &url]].concat();
        assert_eq!(client.run("curl", &arguments)?, UPLOAD.to_string());
        let took = started.elapsed();
        ensure!(
            took < Duration::from_secs(5),
            "{UPLOAD} bytes took {took:?}"
        );
    }
    assert_eq!(
        announced(&capture.frames()?, site.workload.target.ip()),
        BTreeSet::from([mss])
    );
    let reasons = site.edge.status()?.reasons;
    let too_large = reasons.iter().find(|count| count.reason == "too_large");
    assert_eq!(too_large.context("a reason of the edge")?.packets, 0);
    Ok(())
}

// 1500 bytes less the longest outer header (IPv6, UDP, GUE with three IPv6 alternates: 40 + 8 + 8 + 48), the
// inner IP header and the TCP header.

#[test]
fn an_upload_over_ipv4_by_gue_is_quick_in_a_fabric_of_1500_bytes() -> Result<()> {
    let workload = workload(v4(), Protocol::Tcp, "gue", false);
    an_upload_is_quick_in_a_fabric_of_1500_bytes(workload, 1500 - 104 - 20 - 20)
}

#[test]
fn an_upload_over_ipv6_by_gue_is_quick_in_a_fabric_of_1500_bytes() -> Result<()> {
    let workload = workload(v6(), Protocol::Tcp, "gue", true);
    an_upload_is_quick_in_a_fabric_of_1500_bytes(workload, 1500 - 104 - 40 - 20)
}

#[test]
fn an_upload_by_ip4in6_is_quick_in_a_fabric_of_1500_bytes() -> Result<()> {
    let workload = workload(v4(), Protocol::Tcp, "ip4in6", true);
    an_upload_is_quick_in_a_fabric_of_1500_bytes(workload, 1500 - 104 - 20 - 20)
}
