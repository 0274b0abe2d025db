//! What a run on single frames can't show: that a packet which is sent arrives.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, Result};
use etherparse::{SlicedPacket, TransportSlice};
use testbed::attach_pass;

use crate::edge::{ENCAPSULATIONS, FABRIC, OTHER, Site, vip};
use crate::frame::{CLIENT_PORT, CLIENT_V4, PORT};

/// The wire's ends become the client on one side, and the backends on both.
fn inhabit(site: &Site) -> Result<()> {
    let (world, wire) = site.wire();
    wire.sysctls(&[
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/w0/rp_filter", "0"),
        ("ipv4/conf/w1/rp_filter", "0"),
    ])?;
    let mut lines = format!(
        "link set w0 address {FABRIC}\n\
         link set w1 address {OTHER}\n\
         addr add {CLIENT_V4}/32 dev w0\n\
         addr add 10.1.0.11/32 dev w0\n\
         addr add 10.2.0.18/32 dev w1\n\
         route add 198.51.100.0/24 dev w0 src {CLIENT_V4}\n"
    );
    for service in ["gue44", "elsewhere"] {
        let vip = vip(service);
        lines.push_str(&format!(
            "neigh add {vip} lladdr 02:00:00:00:00:02 dev w0 nud permanent\n"
        ));
    }
    wire.ip(&lines)?;
    // The edge sees what the stack left undone: checksums must be whole.
    wire.run("ethtool", &["--offload", "w0", "tx", "off"])?;
    for end in ["w0", "w1"] {
        // What native XDP sends reaches a stack only through a native program.
        attach_pass(world, wire, end)?;
    }
    Ok(())
}

/// Sends a datagram to the service, and gives what comes to the backend's GUE port.
fn deliver(site: &Site, service: &str, backend: &str) -> Result<Vec<u8>> {
    let (_, wire) = site.wire();
    wire.enter(|| {
        let receiver = UdpSocket::bind((backend, 6080))?;
        receiver.set_read_timeout(Some(Duration::from_secs(5)))?;
        let client = UdpSocket::bind((CLIENT_V4, CLIENT_PORT))?;
        client.send_to(b"hello", (vip(service), PORT))?;
        let mut datagram = [0; 2_048];
        let (length, _) = receiver
            .recv_from(&mut datagram)
            .with_context(|| format!("nothing came to {backend}"))?;
        Ok(datagram[..length].to_vec())
    })?
}

fn arrives_at(service: &str, backend: &str) -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    inhabit(&site)?;
    let datagram = deliver(&site, service, backend)?;
    let [0, 4, 0, 0, inner @ ..] = &datagram[..] else {
        panic!("no GUE: {datagram:02x?}");
    };
    let packet = SlicedPacket::from_ip(inner)?;
    let Some(TransportSlice::Udp(udp)) = &packet.transport else {
        panic!("no UDP: {packet:?}");
    };
    assert_eq!(
        (udp.source_port(), udp.destination_port()),
        (CLIENT_PORT, PORT)
    );
    assert_eq!(udp.payload(), b"hello");
    Ok(())
}

#[test]
fn a_packet_sent_back_by_the_same_interface_arrives() -> Result<()> {
    arrives_at("gue44", "10.1.0.11")
}

#[test]
fn a_packet_sent_out_by_another_interface_arrives() -> Result<()> {
    arrives_at("elsewhere", "10.2.0.18")
}
