//! Next hops that stand in while a route has moved to a neighbour that is not known yet.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::NextHop;

/// The kernel gives up a silent neighbour after three seconds, by default.
const GRACE: Duration = Duration::from_secs(5);

/// The last next hop of each address.
///
/// A route that moves leads over a neighbour that the kernel may never have asked for. Its answer is milliseconds away:
/// packets go on by the former next hop until then, rather than nowhere, or to another backend and back.
#[derive(Debug, Default)]
pub(crate) struct StandIns {
    last: BTreeMap<IpAddr, (NextHop, Instant)>,
}

impl StandIns {
    /// Adds to `found`, the next hops at `now`, the former ones of addresses whose neighbour is being `resolved`.
    pub(crate) fn add(
        &mut self,
        found: &mut BTreeMap<IpAddr, NextHop>,
        resolved: impl Fn(IpAddr) -> bool,
        now: Instant,
    ) {
        self.last
            .extend(found.iter().map(|(&address, &hop)| (address, (hop, now))));
        self.last.retain(|address, (_, seen)| {
            found.contains_key(address) || (resolved(*address) && now.duration_since(*seen) < GRACE)
        });
        found.extend(self.last.iter().map(|(&address, &(hop, _))| (address, hop)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(interface: u32) -> NextHop {
        NextHop {
            interface,
            source_mac: [2; 6],
            destination_mac: [4; 6],
            source: [10, 0, 0, 1].into(),
            source_bits: 0,
            mtu: 1_500,
            tags: [None; 2],
        }
    }

    fn backend() -> IpAddr {
        [10, 9, 0, 1].into()
    }

    /// What is in use after these looks: at this second, what was found, and whether its neighbour is being resolved.
    fn after(looks: &[(u64, Option<u32>, bool)]) -> Option<u32> {
        let (mut stand_ins, start) = (StandIns::default(), Instant::now());
        let mut found = BTreeMap::new();
        for &(second, interface, resolved) in looks {
            found = interface
                .map(|interface| (backend(), hop(interface)))
                .into_iter()
                .collect();
            let now = start + Duration::from_secs(second);
            stand_ins.add(&mut found, |_| resolved, now);
        }
        found.get(&backend()).map(|hop| hop.interface)
    }

    #[test]
    fn the_former_next_hop_stands_in_while_the_new_neighbour_is_resolved() {
        assert_eq!(after(&[(0, Some(1), false), (1, None, true)]), Some(1));
        let found = [(0, Some(1), false), (1, None, true), (2, Some(2), false)];
        assert_eq!(after(&found), Some(2));
    }

    #[test]
    fn it_does_so_for_five_seconds_at_most() {
        let looks = [(0, Some(1), false), (4, None, true), (5, None, true)];
        assert_eq!(after(&looks), None);
    }

    #[test]
    fn nothing_stands_in_where_there_is_no_route_or_nobody_answered() {
        assert_eq!(after(&[(0, Some(1), false), (1, None, false)]), None);
        let gone = [(0, Some(1), false), (1, None, false), (2, None, true)];
        assert_eq!(after(&gone), None);
        assert_eq!(after(&[(0, None, true)]), None);
    }
}
