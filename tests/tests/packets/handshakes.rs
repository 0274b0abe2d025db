//! What an agent does with packets of a handshake: its sockets know the answers to their own SYN-ACKs and no others.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use balancer_common::Reason;
use testbed::{Wire, wait_for};

use crate::agent::{Decap, Site, VIP_V4, VIP_V6};
use crate::frame::{CLIENT_PORT, IP, PORT, Packet, ROUTER, acknowledging, put};
use crate::outer::Outer;
use crate::row::{Row, check};
use crate::second_chance::{BOTH, delivered, from, goes_on, own, with};
use crate::sockets::error_about;

/// A listener of the instance, and a client on its link that begins handshakes and ends none.
struct Handshakes<'a> {
    vip: &'a str,
    client: &'static str,
    wire: Wire,
    _listener: TcpListener,
}

impl Handshakes<'_> {
    fn open<'a>(site: &Site, vip: &'a str) -> Result<Handshakes<'a>> {
        let client = match vip.contains(':') {
            true => "fd00:1::63",
            false => "10.1.0.99",
        };
        let mac = ROUTER.map(|byte| format!("{byte:02x}")).join(":");
        // SYN-ACKs come again and again, and must not be lowered and counted while rows are.
        site.instance.ip(&format!(
            "neigh replace {client} lladdr {mac} dev eth0 nud permanent\n\
             route add {client} dev eth0 advmss 1200\n"
        ))?;
        let address = SocketAddr::new(vip.parse::<IpAddr>()?, PORT);
        Ok(Handshakes {
            vip,
            client,
            wire: Wire::open(&site.host, "w0")?,
            _listener: site.instance.enter(|| TcpListener::bind(address))??,
        })
    }

    /// The client's first segment behind its SYN.
    fn segment(&self) -> Packet {
        Packet::tcp(self.vip).from(self.client)
    }

    /// Sends the SYN; gives the sequence number of its answer.
    fn begin(&self) -> Result<u32> {
        self.wire.send(&self.segment().syn())?;
        wait_for("a SYN-ACK", Duration::from_secs(5), || {
            let frame = self.wire.receive()?.context("no frame")?;
            let tcp = IP + if self.vip.contains(':') { 40 } else { 20 };
            let header = frame.get(tcp..tcp + 14).context("no segment")?;
            let ports = [PORT.to_be_bytes(), CLIENT_PORT.to_be_bytes()].concat();
            ensure!(header[..4] == ports && header[13] == 0x12, "{frame:02x?}");
            Ok(u32::from_be_bytes(header[4..8].try_into()?))
        })
    }

    /// A router's error about what the VIP has sent with this sequence number.
    fn error(&self, sequence: u32) -> Vec<u8> {
        error_about(self.vip, self.client, CLIENT_PORT, sequence)
    }
}

/// Rows of what is known, from an edge and from a peer.
fn known(what: &str, outer: Outer, inner: &[u8]) -> [Row; 2] {
    let first = with(outer, inner, [1, 1, 0, 0], &[21]);
    let later = from(outer, 20, with(outer, inner, [1, 2, 1, 0], &[20, 22]));
    let name = |whence| format!("{what}, from {whence}, {outer:?}");
    [
        delivered(name("an edge"), Reason::Decapsulated, first, inner),
        delivered(name("a peer"), Reason::SecondChance, later, inner),
    ]
}

/// Rows of what there is weak evidence of: it gives way to all who are left, and is remembered once.
fn weak(what: &str, outer: Outer, inner: &[u8]) -> [Row; 4] {
    let name = |where_to| format!("{what}, {where_to}, {outer:?}");
    let own = own(outer);
    let first = with(outer, inner, [1, 2, 0, 0], &[21, 22]);
    let after: (_, &[u8]) = ([1, 2, 1, 2], &[own, 22]);
    let first = goes_on(name("on"), Reason::HandedOn, outer, first, 21, after);
    let later = from(outer, 20, with(outer, inner, [1, 2, 1, 0], &[20, 22]));
    let after: (_, &[u8]) = ([1, 2, 2, 6], &[20, own]);
    let later = goes_on(name("later"), Reason::HandedOn, outer, later, 22, after);
    let last = from(outer, 20, with(outer, inner, [1, 1, 1, 0], &[20]));
    let last = delivered(name("kept"), Reason::NoAlternateLeft, last, inner);
    let back = from(outer, 21, with(outer, inner, [1, 2, 2, 2], &[20, 21]));
    let after: (_, &[u8]) = ([1, 2, 2, 3], &[20, 21]);
    let back = goes_on(name("back"), Reason::ReturnedHome, outer, back, 20, after);
    [first, later, last, back]
}

/// Rows of what nobody has evidence of.
fn unknown(what: &str, outer: Outer, inner: &[u8]) -> [Row; 2] {
    let name = |where_to| format!("{what}, {where_to}, {outer:?}");
    let first = with(outer, inner, [1, 2, 0, 0], &[21, 22]);
    let after: (_, &[u8]) = ([1, 2, 1, 0], &[own(outer), 22]);
    let first = goes_on(name("on"), Reason::HandedOn, outer, first, 21, after);
    let last = from(outer, 20, with(outer, inner, [1, 1, 1, 0], &[20]));
    let after: (_, &[u8]) = ([1, 1, 1, 1], &[20]);
    let last = goes_on(name("home"), Reason::ReturnedHome, outer, last, 20, after);
    [first, last]
}

// Promise: M3
#[test]
fn a_request_socket_knows_the_answer_to_its_own_syn_ack() -> Result<()> {
    let bench = Decap(Site::new()?);
    for vip in [VIP_V4, VIP_V6] {
        let handshakes = Handshakes::open(&bench.0, vip)?;
        let sent = handshakes.begin()?;
        let answer = |number: u32| acknowledging(handshakes.segment().frame(), number);
        let mut rows = Vec::new();
        for outer in BOTH {
            let own = answer(sent.wrapping_add(1));
            rows.extend(known("the answer", outer, &own));
            rows.extend(known("an error", outer, &handshakes.error(sent)));
            for off in [0, 2, 1 << 31] {
                let number = sent.wrapping_add(off);
                rows.extend(weak("another answer", outer, &answer(number)));
            }
            for off in [1, u32::MAX] {
                let error = handshakes.error(sent.wrapping_add(off));
                rows.extend(weak("an error about another", outer, &error));
            }
            let other = handshakes.segment().ports(9, PORT).frame();
            let other = acknowledging(other, sent.wrapping_add(1));
            rows.extend(unknown("the answer of another flow", outer, &other));
            let other = error_about(vip, handshakes.client, 9, sent);
            rows.extend(unknown("an error about another flow", outer, &other));
        }
        check(&bench, &rows)?;
    }
    Ok(())
}

// Promise: M3
#[test]
fn a_listener_knows_its_own_cookie_and_no_other() -> Result<()> {
    let bench = Decap(Site::new()?);
    bench.0.instance.sysctls(&[("ipv4/tcp_syncookies", "2")])?;
    for vip in [VIP_V4, VIP_V6] {
        let handshakes = Handshakes::open(&bench.0, vip)?;
        let sent = handshakes.begin()?;
        let answer = |packet: Packet| acknowledging(packet.frame(), sent.wrapping_add(1));
        let segment = || handshakes.segment();
        let mut rows = Vec::new();
        for outer in BOTH {
            let own = answer(segment());
            rows.extend(known("the cookie", outer, &own));
            let long = answer(segment().payload(&[7; 1_000]));
            rows.extend(known("the cookie and data", outer, &long));
            if !vip.contains(':') {
                let optioned = answer(segment().options(&[1; 12]));
                rows.extend(known("the cookie behind options", outer, &optioned));
            }
            // The kernel reads an MSS from what is a few more, and takes four of them.
            for off in [0, 9, 1 << 31] {
                let other = acknowledging(segment().frame(), sent.wrapping_add(off));
                rows.extend(unknown("another cookie", outer, &other));
            }
            let (tcp, other) = match vip.contains(':') {
                true => (IP + 40, "fd00:1::64"),
                false => (IP + 20, "10.1.0.98"),
            };
            let ports = answer(segment().ports(CLIENT_PORT + 1, PORT));
            rows.extend(unknown("the cookie of another port", outer, &ports));
            let client = answer(segment().from(other));
            rows.extend(unknown("the cookie of another client", outer, &client));
            let later = put(own.clone(), tcp + 4, &[9; 4]);
            rows.extend(unknown("the cookie far behind a SYN", outer, &later));
            let reset = put(own.clone(), tcp + 13, &[0x14]);
            rows.extend(unknown("a reset with the cookie", outer, &reset));
            // The kernel keeps nothing to compare it with.
            let error = handshakes.error(sent);
            rows.extend(unknown("an error about the cookie", outer, &error));
        }
        check(&bench, &rows)?;
    }
    Ok(())
}
