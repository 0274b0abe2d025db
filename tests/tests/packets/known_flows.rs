//! Connections of an instance, made within its namespace, and what its sockets know of them.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use balancer_common::Address;
use balancer_common::agent::Evidence;
use testbed::Namespace;

use crate::agent::{VIP_V4, VIP_V6};
use crate::errors::{KINDS, KINDS_V6, about};
use crate::frame::{IP, PORT, Packet};

/// The clients' ports: the same in every run, so that a seed gives the same frames.
const CONNECTED: u16 = 41_001;
const CLOSED: u16 = 41_002;
/// Of this one there is no connection: it meets the listener.
const UNKNOWN: u16 = 41_003;

/// For how long a kernel remembers what was closed, at least: Linux waits for 60 seconds.
const REMEMBERED: Duration = Duration::from_secs(55);

/// Source, destination, and both ports as they stand in a segment.
type Ends = (Address, Address, [u8; 4]);

/// Of both families one that is there, one that was closed, and a listener.
pub(crate) struct Connections {
    known: BTreeMap<Ends, Evidence>,
    made: Instant,
    _listeners: Vec<TcpListener>,
    _streams: Vec<TcpStream>,
}

impl Connections {
    /// Makes them in the namespace of an instance.
    pub(crate) fn make(instance: &Namespace) -> Result<Connections> {
        let made = Instant::now();
        let mut known = BTreeMap::new();
        let (mut listeners, mut streams) = (Vec::new(), Vec::new());
        for vip in [VIP_V4, VIP_V6] {
            let at = SocketAddr::new(vip.parse()?, PORT);
            let listener = instance.enter(|| TcpListener::bind(at))??;
            for port in [CONNECTED, CLOSED] {
                let only = format!("{port} {port}");
                instance.sysctls(&[("ipv4/ip_local_port_range", &only)])?;
                let mut client = instance.enter(|| TcpStream::connect(at))??;
                let (server, _) = listener.accept()?;
                let from = client.local_addr()?;
                ensure!(from.port() == port, "{from}, not port {port}");
                if port == CONNECTED {
                    // Both ends are sockets of the instance.
                    known.insert(ends(from, at), Evidence::Known);
                    known.insert(ends(at, from), Evidence::Known);
                } else {
                    // The server closes first, and remembers it.
                    let _ = server.shutdown(Shutdown::Both);
                    client.read_to_end(&mut Vec::new()).context("the end")?;
                    client.shutdown(Shutdown::Both)?;
                    known.insert(ends(from, at), Evidence::Weak);
                }
                streams.extend([client, server]);
            }
            listeners.push(listener);
        }
        Ok(Connections {
            known,
            made,
            _listeners: listeners,
            _streams: streams,
        })
    }

    /// What the instance's sockets know of a flow, its ports as a word loaded from a segment.
    pub(crate) fn knows(&self, source: &Address, destination: &Address, ports: u32) -> Evidence {
        let ends = (*source, *destination, ports.to_ne_bytes());
        self.known.get(&ends).copied().unwrap_or(Evidence::Nothing)
    }

    /// That what was closed may not have been forgotten yet.
    pub(crate) fn check_age(&self) -> Result<()> {
        let age = self.made.elapsed();
        ensure!(age < REMEMBERED, "{age:?} old: too slow to compare");
        Ok(())
    }
}

fn ends(from: SocketAddr, to: SocketAddr) -> Ends {
    let ([a, b], [c, d]) = (from.port().to_be_bytes(), to.port().to_be_bytes());
    (from.ip().into(), to.ip().into(), [a, b, c, d])
}

/// Segments of the connections, one that opens another, and errors about them.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for (vip, kind, header) in [(VIP_V4, KINDS[1], 20), (VIP_V6, KINDS_V6[1], 40)] {
        for port in [CONNECTED, CLOSED, UNKNOWN] {
            // Whoever connects to an address of the same host does so from it.
            let ports = |from, to| Packet::tcp(vip).from(vip).ports(from, to);
            frames.push(ports(port, PORT).frame());
            let sent = ports(PORT, port).frame();
            frames.push(about(kind, vip, &sent[IP..], header + 8));
        }
        frames.push(Packet::tcp(vip).from(vip).ports(PORT, CONNECTED).frame());
    }
    frames
}
