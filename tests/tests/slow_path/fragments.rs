//! Datagrams that are longer than the path's MTU, in fragments of the client's kernel.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etherparse::{NetSlice, SlicedPacket};
use testbed::{Capture, Namespace, Protocol, Site, Topology, Workload, World, patient};

use crate::{NAMES, at_edge};

/// Client ports, each a flow: each of three instances gets some.
const FLOWS: usize = 30;

/// Bytes of a datagram: three fragments of 1,500 bytes.
const LONG: usize = 4_000;

/// A datagram may be lost, and so may a fragment that overtakes the first one: then it is sent again.
const TRIES: usize = 5;
const PATIENCE: Duration = Duration::from_millis(500);

/// A flow's socket.
fn flow(client: &Namespace, target: SocketAddr) -> Result<UdpSocket> {
    let any = if target.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = client.enter(|| UdpSocket::bind(any))??;
    socket.connect(target)?;
    socket.set_read_timeout(Some(patient(PATIENCE)))?;
    Ok(socket)
}

/// The name that answers a datagram of so many bytes.
fn ask(socket: &UdpSocket, bytes: usize) -> Result<String> {
    let mut name = [0; 64];
    for _ in 0..TRIES {
        socket.send(&vec![b'?'; bytes])?;
        if let Ok(length) = socket.recv(&mut name) {
            return Ok(String::from_utf8_lossy(&name[..length]).into_owned());
        }
    }
    bail!("no answer to {bytes} bytes from {}", socket.local_addr()?)
}

/// Whether a frame is a fragment for the VIP, outside of any encapsulation.
fn is_fragment(frame: &[u8], vip: IpAddr) -> bool {
    let Some(net) = SlicedPacket::from_ethernet(frame)
        .ok()
        .and_then(|packet| packet.net)
    else {
        return false;
    };
    let (destination, fragmented): (IpAddr, bool) = match net {
        NetSlice::Ipv4(ipv4) => (
            ipv4.header().destination_addr().into(),
            ipv4.is_payload_fragmented(),
        ),
        NetSlice::Ipv6(ipv6) => (
            ipv6.header().destination_addr().into(),
            ipv6.is_payload_fragmented(),
        ),
        _ => return false,
    };
    destination == vip && fragmented
}

fn workload(vip: impl Into<IpAddr>) -> Workload {
    Workload::new(vip, Protocol::Udp)
}

/// What is short and what is long of a flow is answered by the same instance, and fragments of `LONG` come to all instances.
fn long_datagrams_arrive_where_short_ones_do(site: &Site<'_>) -> Result<()> {
    let target = site.workload.target;
    let captures: Vec<Capture> = site
        .topology
        .instances
        .iter()
        .map(|each| Capture::start(&each.namespace))
        .collect::<Result<_>>()?;
    let mut names = BTreeSet::new();
    for _ in 0..FLOWS {
        let socket = flow(&site.topology.client, target)?;
        let short = ask(&socket, 4)?;
        let long = ask(&socket, LONG)?;
        let port = socket.local_addr()?.port();
        ensure!(
            long == short,
            "port {port}: {short} has what is short, {long} what is long"
        );
        names.insert(long);
    }
    assert_eq!(names, NAMES.map(str::to_owned).into());
    for (name, capture) in NAMES.iter().zip(captures) {
        let frames = capture.frames()?;
        let fragments = frames
            .iter()
            .filter(|frame| is_fragment(frame, target.ip()))
            .count();
        ensure!(fragments >= 3, "{fragments} fragments came to {name}");
    }
    Ok(())
}

/// A client's MTU of 1,500 bytes, and room for the outer headers between edge and instances.
fn fragments_arrive_at_one_instance(vip: impl Into<IpAddr>) -> Result<()> {
    let world = World::new()?;
    let site = Site::start(&world, &NAMES, workload(vip))?;
    long_datagrams_arrive_where_short_ones_do(&site)
}

// Promise: E17
#[test]
fn fragments_arrive_at_one_instance_over_ipv4() -> Result<()> {
    fragments_arrive_at_one_instance(Topology::vip_v4(10))
}

// Promise: E17
#[test]
fn fragments_arrive_at_one_instance_over_ipv6() -> Result<()> {
    fragments_arrive_at_one_instance(Topology::vip_v6(0x10))
}

/// 1,500 bytes everywhere: there is room for whom knows to leave some.
fn fragments_must_leave_room_for_the_outer_header(vip: impl Into<IpAddr>) -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &NAMES)?;
    topology.set_fabric_mtu(1_500)?;
    let site = Site::on(&world, topology, workload(vip))?;
    let client = &site.topology.client;
    let socket = flow(client, site.workload.target)?;
    ask(&socket, 4).context("a short one")?;
    let before = at_edge(&site.edge, "too_large")?;
    let name = ask(&socket, LONG);
    ensure!(name.is_err(), "{name:?} has what cannot have reached it");
    // Two of three are full.
    let dropped = at_edge(&site.edge, "too_large")? - before;
    assert_eq!(dropped, 2 * TRIES as u64, "dropped as too large");
    client.ip("link set eth0 mtu 1400\n")?;
    long_datagrams_arrive_where_short_ones_do(&site)
}

// Promise: E17
#[test]
fn fragments_must_leave_room_for_the_outer_header_over_ipv4() -> Result<()> {
    fragments_must_leave_room_for_the_outer_header(Topology::vip_v4(10))
}

// Promise: E17
#[test]
fn fragments_must_leave_room_for_the_outer_header_over_ipv6() -> Result<()> {
    fragments_must_leave_room_for_the_outer_header(Topology::vip_v6(0x10))
}
