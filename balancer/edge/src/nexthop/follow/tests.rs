use balancer_host::netns::{block_on_netns, scratch::ScratchNetns};

use super::*;
use crate::nexthop::{interface, routes::SWEEP};

/// Longer than anything the test waits for; only failures take it.
const LIMIT: Duration = Duration::from_secs(20);

// Promise: N2
#[test]
fn a_quiet_second_asks_for_few_routes_and_a_lost_event_heals_in_turn() {
    let (edge, gateway) = (ScratchNetns::new(), ScratchNetns::new());
    edge.veth("e0", &["10.0.0.1/24"], &gateway, "b0", &["10.0.0.2/24"]);
    edge.veth("e1", &["10.1.0.1/24"], &gateway, "b1", &["10.1.0.2/24"]);
    edge.ip("route add 10.9.0.0/16 via 10.0.0.2");
    let addresses = (0..1_000_u16).map(|number| {
        let [high, low] = number.to_be_bytes();
        IpAddr::from([10, 9, high, low])
    });
    let addresses = addresses.map(|address| (address, ())).collect();
    let outcome = block_on_netns(edge.path(), || async {
        let mut follower = Follower::open(Sources::default())?;
        follower.routes.want(addresses);
        let started = Instant::now();
        while (follower.look().await?).is_none_or(|found| found.len() < 1_000) {
            assert!(started.elapsed() < LIMIT, "no next hops");
        }
        // The neighbour is known: from here on there is nothing new.
        assert_eq!(follower.routes.doubted().len(), 0);
        follower.routes.sweep();
        assert_eq!(follower.routes.doubted().len(), SWEEP);
        assert_eq!(follower.look().await?, None);

        edge.ip("route replace 10.9.0.0/16 via 10.1.0.2");
        // As if the event of it had been lost.
        let lost = follower.events.take();
        let prefix = "10.9.0.0/16".parse().expect("a prefix");
        assert!(lost.prefixes.contains(&prefix), "{lost:?}");
        let other = interface("e1").await?.index;
        let moved = |follower: &Follower| {
            let known = follower.routes.known().values();
            known.filter(|route| route.interface == other).count()
        };
        assert_eq!(moved(&follower), 0);
        for turn in 1..=4 {
            follower.routes.sweep();
            follower.look().await?;
            assert_eq!(moved(&follower), (turn * SWEEP).min(1_000), "turn {turn}");
        }
        Ok::<_, NextHopError>(())
    });
    outcome.expect("enter").expect("a working socket");
}
