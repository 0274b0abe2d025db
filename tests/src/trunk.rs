//! A switch port that tags: what the fabric sends to a VIP goes to the edge with two VLAN tags, and what comes
//! back with them goes on without. It needs no VLAN devices, which not every kernel has.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::Result;

use crate::{Namespace, Topology, Wire, World, attach_pass};

/// The provider's tag, 100, and the customer's, 200. Of a frame that comes back a packet socket sees the inner one in its place only if
/// the kernel has taken another off in front of it.
const OUTER: [u8; 4] = [0x88, 0xa8, 0, 100];
const INNER: [u8; 4] = [0x81, 0, 0, 200];

/// Behind both MAC addresses.
const TAGS: usize = 12;

/// The switch, between the fabric and the edge's `eth0`, until it is dropped.
pub struct Trunk {
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

/// Frames that went to the edge with tags, and that came back with them.
#[derive(Default)]
struct Counts {
    went: AtomicU64,
    came: AtomicU64,
}

impl Trunk {
    /// Puts it in the place of the edge's link. Frames for the `vip` have tags, all others have none.
    pub fn start(world: &World, topology: &Topology, vip: IpAddr) -> Result<Trunk> {
        let switch = connected(world, topology)?;
        let wire = |device| Wire::open(&switch, device).map(Arc::new);
        let (uplink, trunk) = (wire("uplink")?, wire("trunk")?);
        let counts = Arc::new(Counts::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (went, came) = (Arc::clone(&counts), Arc::clone(&counts));
        let to_edge = move |frame: &mut Vec<u8>| {
            if destination(frame) == Some(vip) {
                frame.splice(TAGS..TAGS, [OUTER, INNER].concat());
                went.went.fetch_add(1, Ordering::Relaxed);
            }
        };
        let from_edge = move |frame: &mut Vec<u8>| {
            if frame.get(TAGS..TAGS + 4) == Some(&INNER) {
                frame.drain(TAGS..TAGS + 4);
                came.came.fetch_add(1, Ordering::Relaxed);
            }
        };
        let threads = vec![
            carry(&uplink, &trunk, &stop, to_edge),
            carry(&trunk, &uplink, &stop, from_edge),
        ];
        Ok(Trunk {
            counts,
            stop,
            threads,
        })
    }

    /// How many frames went to the edge with tags, and how many came back with them.
    pub fn tagged(&self) -> (u64, u64) {
        let Counts { went, came } = &*self.counts;
        (went.load(Ordering::Relaxed), came.load(Ordering::Relaxed))
    }
}

impl Drop for Trunk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => eprintln!("the trunk has ended early: {error:#}"),
                Err(_) => eprintln!("the trunk has panicked"),
            }
        }
    }
}

/// A host between the fabric, by `uplink`, and the edge, by `trunk`.
fn connected(world: &World, topology: &Topology) -> Result<Namespace> {
    let switch = topology.add_host(world, "switch")?;
    // It has nothing to say itself.
    switch.sysctls(&[("ipv6/conf/default/disable_ipv6", "1")])?;
    topology.router.ip("link del to-edge\n")?;
    topology.connect(&switch, "uplink", "fabric", &[])?;
    let edge = &topology.edge;
    switch.ip(
        "link add trunk mtu 1600 type veth peer name eth0 mtu 1600 netns edge\n\
         link set trunk up\n",
    )?;
    for (host, device) in [(&switch, "trunk"), (edge, "eth0")] {
        // Checksums are whole, and segments stay what they are: nobody completes or parts them on their way.
        let offloads = ["--offload", device, "tx", "off", "gro", "off"];
        host.run("ethtool", &offloads)?;
    }
    let (ipv4, ipv6) = Topology::EDGE;
    edge.ip(&format!(
        "addr add {ipv4}/24 dev eth0\n\
         addr add {ipv6}/64 dev eth0 nodad\n\
         link set eth0 up\n\
         route add default via 10.1.0.1\n\
         route add default via fd00:1::1\n"
    ))?;
    attach_pass(world, &switch, "trunk")?;
    Ok(switch)
}

/// Carries frames from one wire to the other, `changed`, until it is told to stop.
fn carry(
    from: &Arc<Wire>,
    to: &Arc<Wire>,
    stop: &Arc<AtomicBool>,
    changed: impl Fn(&mut Vec<u8>) + Send + 'static,
) -> JoinHandle<Result<()>> {
    let (from, to, stop) = (Arc::clone(from), Arc::clone(to), Arc::clone(stop));
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            if let Some(mut frame) = from.receive()? {
                changed(&mut frame);
                to.send(&frame)?;
            }
        }
        Ok(())
    })
}

/// Where an untagged IP packet goes.
fn destination(frame: &[u8]) -> Option<IpAddr> {
    match frame.get(12..14)? {
        [8, 0] => Some(IpAddr::from(<[u8; 4]>::try_from(frame.get(30..34)?).ok()?)),
        [0x86, 0xdd] => Some(IpAddr::from(<[u8; 16]>::try_from(frame.get(38..54)?).ok()?)),
        _ => None,
    }
}
