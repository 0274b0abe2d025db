//! The real kernel's routes, neighbours and links, in network namespaces that the tests make. They need root.

mod changes;
mod interfaces;
mod neighbours;
mod routes;

use std::{net::IpAddr, thread, time::Duration};

use balancer_core::{model::AddressMap, reconcile::NextHops};
use balancer_host::netns::{block_on_netns, scratch::ScratchNetns};
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    time::timeout,
};

use super::{InterfaceView, NextHop, NextHopError, Sources, interface, spawn};

/// Longer than anything the tests wait for; only failures take it.
const PATIENCE: Duration = Duration::from_secs(20);

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// What is wanted when these addresses are.
fn wanting(addresses: &[&str]) -> AddressMap<()> {
    let addresses = addresses.iter().copied();
    addresses.map(|address| (ip(address), ())).collect()
}

/// A follower at work in an edge's namespace.
struct Follower {
    wanted: watch::Sender<AddressMap<()>>,
    found: watch::Receiver<NextHops>,
    runtime: Runtime,
    thread: thread::JoinHandle<Result<(), NextHopError>>,
}

impl Follower {
    fn start(edge: &ScratchNetns, wanted: &[&str]) -> Self {
        Self::start_with(edge, wanted, Sources::default())
    }

    fn start_with(edge: &ScratchNetns, addresses: &[&str], sources: Sources) -> Self {
        let (wanted, addresses) = watch::channel(wanting(addresses));
        let (publish, found) = watch::channel(NextHops::default());
        let path = edge.path().to_owned();
        let thread = thread::spawn(move || {
            let following =
                || async { spawn(addresses, sources, publish).await.expect("no panic") };
            block_on_netns(&path, following).expect("enter the edge")
        });
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("runtime");
        Self {
            wanted,
            found,
            runtime,
            thread,
        }
    }

    /// Waits until what is found fulfils the condition.
    fn until(&mut self, expectation: &str, condition: impl Fn(&NextHops) -> bool) -> NextHops {
        let found = &mut self.found;
        let outcome = self.runtime.block_on(async {
            timeout(PATIENCE, found.wait_for(|found| condition(found)))
                .await
                .map(|_| ())
        });
        let found = self.found.borrow_and_update().clone();
        assert!(
            outcome.is_ok(),
            "{expectation}: not within {PATIENCE:?}; found {found:?}"
        );
        found
    }

    /// Waits until the address has a next hop that fulfils the condition.
    fn until_next_hop(&mut self, address: &str, condition: impl Fn(&NextHop) -> bool) -> NextHop {
        let address = ip(address);
        let found = self.until(&format!("a next hop of {address}"), |found| {
            found.get(&address).is_some_and(&condition)
        });
        found[&address]
    }

    /// Waits until the address has any next hop.
    fn next_hop(&mut self, address: &str) -> NextHop {
        self.until_next_hop(address, |_| true)
    }

    /// Waits until the address has none.
    fn until_none(&mut self, address: &str) {
        self.until(&format!("no next hop of {address}"), |found| {
            !found.contains_key(&ip(address))
        });
    }
}

/// What the kernel says of an interface there.
fn view(netns: &ScratchNetns, name: &str) -> InterfaceView {
    let view = block_on_netns(netns.path(), || interface(name)).expect("enter");
    view.unwrap_or_else(|error| panic!("{error}"))
}

/// An edge and its neighbour on one wire: `e0` with .1 and ::1, `b0` with .2 and ::2.
fn wire() -> (ScratchNetns, ScratchNetns) {
    let (edge, neighbour) = (ScratchNetns::new(), ScratchNetns::new());
    edge.veth(
        "e0",
        &["10.0.0.1/24", "fd00::1/64"],
        &neighbour,
        "b0",
        &["10.0.0.2/24", "fd00::2/64"],
    );
    (edge, neighbour)
}

/// Makes the kernel's neighbour table of `interface` live in a second what usually takes minutes; an entry that is due
/// for confirmation then waits as stale until somebody uses it, and the kernel's own traffic does not count as use for long.
fn hurry(netns: &ScratchNetns, interface: &str) {
    for family in ["ipv4", "ipv6"] {
        let settings = [
            ("base_reachable_time_ms", "400"),
            ("retrans_time_ms", "100"),
            ("delay_first_probe_time", "0"),
        ];
        for (key, value) in settings {
            netns.sysctl(&format!("{family}/neigh/{interface}/{key}"), value);
        }
    }
}
