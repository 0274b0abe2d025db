//! Packets that are for no VIP, and packets for a VIP that no service takes.

use anyhow::Result;
use balancer_common::Reason;

use crate::edge::{ENCAPSULATIONS, Site, sent, vip};
use crate::frame::{IP, Packet, Transport, put, tcp4, tcp6, udp4, udp6};
use crate::row::{Row, check};

fn other(protocol: u8, vip: &str) -> Vec<u8> {
    Packet::new(Transport::Other(protocol), vip)
        .payload(&[8; 32])
        .frame()
}

// Promise: E5
#[test]
fn what_is_no_ip_packet_for_a_vip_passes_untouched() -> Result<()> {
    use Reason::{NotForVip, NotIp, ShortFrame};
    let mut arp = vec![0xff; 6];
    arp.extend([2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend([
        2, 0, 0, 0, 0, 1, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 198, 51, 100, 1,
    ]);
    let stranger4 = Packet::tcp("198.51.100.200").frame();
    let stranger6 = Packet::udp("2001:db8::200").frame();
    let site = Site::new(ENCAPSULATIONS)?;
    let rows = [
        Row::met(NotIp, "ARP for a VIP", arp),
        Row::met(NotIp, "MPLS", put(tcp4().frame(), 12, &[0x88, 0x47])),
        Row::met(NotIp, "802.3 length", put(tcp4().frame(), 12, &[0, 46])),
        Row::met(
            NotIp,
            "an Ethernet header alone",
            put(vec![0; 14], 12, &[8, 6]),
        ),
        Row::met(
            ShortFrame,
            "IPv4 type and nothing behind",
            put(vec![0; 14], 12, &[8, 0]),
        ),
        Row::met(
            ShortFrame,
            "half an IPv4 address",
            tcp4().frame()[..32].to_vec(),
        ),
        Row::met(
            ShortFrame,
            "half an IPv6 address",
            tcp6().frame()[..46].to_vec(),
        ),
        Row::met(NotForVip, "IPv4", stranger4.clone()),
        Row::met(NotForVip, "IPv6", stranger6.clone()),
        Row::met(
            NotForVip,
            "the edge itself",
            Packet::udp("10.1.0.2").frame(),
        ),
        Row::met(NotForVip, "a backend", Packet::udp("10.1.0.11").frame()),
        Row::met(NotForVip, "IHL 0", put(stranger4.clone(), IP, &[0x40])),
        Row::met(NotForVip, "version 0", put(stranger4.clone(), IP, &[0x05])),
        Row::met(
            NotForVip,
            "a lying length",
            put(stranger4.clone(), 16, &[0xff, 0xff]),
        ),
        Row::met(
            NotForVip,
            "a fragment",
            put(stranger4.clone(), 20, &[0x20, 0]),
        ),
        Row::met(NotForVip, "ICMP", other(1, "198.51.100.200")),
        Row::met(NotForVip, "an IPv6 fragment", put(stranger6, 20, &[44])),
        Row::met(
            NotForVip,
            "an IPv4 VIP in an IPv6 header",
            Packet::tcp("::ffff:198.51.100.5").frame(),
        ),
    ];
    check(&site, &rows)
}

// Promise: E6
#[test]
fn what_no_service_takes_is_dropped() -> Result<()> {
    use Reason::{UndeclaredPort, UnsupportedProtocol};
    let mut site = Site::new(ENCAPSULATIONS)?;
    site.change(&["services", "remove", "ipip-udp", "--now", "--force"])?;
    let mut rows = vec![
        Row::met(UndeclaredPort, "TCP 22", tcp4().ports(40_000, 22).frame()),
        Row::met(
            UndeclaredPort,
            "UDP 8001",
            udp6().ports(40_000, 8_001).frame(),
        ),
        Row::met(
            UndeclaredPort,
            "ports swapped",
            tcp6().ports(8_000, 40_000).frame(),
        ),
        Row::met(UndeclaredPort, "port 0", udp4().ports(0, 0).frame()),
        Row::met(
            UndeclaredPort,
            "port 8000 in the other byte order",
            tcp4().ports(40_000, 8_000_u16.swap_bytes()).frame(),
        ),
        Row::met(
            UndeclaredPort,
            "UDP where only TCP is declared",
            Packet::udp(vip("ipip")).frame(),
        ),
    ];
    let frame = Packet::tcp(vip("ipip")).frame();
    rows.push(sent("TCP where only TCP is declared", "ipip", "tcp", frame));
    for protocol in [0, 2, 4, 41, 47, 50, 59, 132, 255] {
        let name = format!("IP protocol {protocol}");
        rows.push(Row::met(
            UnsupportedProtocol,
            &name,
            other(protocol, vip("gue44")),
        ));
    }
    for next in [1, 4, 41, 50, 59, 135, 255] {
        let name = format!("next header {next}");
        let frame = put(tcp6().frame(), 20, &[next]);
        rows.push(Row::met(UnsupportedProtocol, &name, frame));
    }
    check(&site, &rows)
}
