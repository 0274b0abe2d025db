//! The grace of former next hops: they stay in use while a route has moved to a neighbour that is not known yet.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use balancer_core::reconcile::NextHops;

use super::NextHop;

/// The kernel gives up a silent neighbour after three seconds, by default.
const GRACE_TIME: Duration = Duration::from_secs(5);

/// The next hops in use, with those in grace: former ones that stand in.
///
/// A route that moves leads over a neighbour that the kernel may never have asked for. Its answer is milliseconds away:
/// packets go on by the former next hop until then, rather than nowhere, or to another backend and back.
#[derive(Debug, Default)]
pub(crate) struct Grace {
    used: NextHops,
    /// When those of `used` that stand in were last found.
    standing: BTreeMap<IpAddr, Instant>,
    /// When all others of `used` were last found.
    looked: Option<Instant>,
}

impl Grace {
    /// The next hops to use at `now`: those that were found last, with those that are `found` otherwise now, and the former ones of
    /// addresses whose neighbour is being `resolved`.
    pub(crate) fn add(
        &mut self,
        found: impl IntoIterator<Item = (IpAddr, Option<NextHop>)>,
        resolved: impl Fn(IpAddr) -> bool,
        now: Instant,
    ) -> NextHops {
        for (address, hop) in found {
            if let Some(hop) = hop {
                self.standing.remove(&address);
                if self.used.get(&address) != Some(&hop) {
                    self.used.insert(address, hop);
                }
            } else if let Some(looked) = self.looked
                && self.used.contains_key(&address)
            {
                self.standing.entry(address).or_insert(looked);
            }
        }
        let used = &mut self.used;
        self.standing.retain(|address, seen| {
            let stands = now.duration_since(*seen) < GRACE_TIME && resolved(*address);
            if !stands {
                used.remove(address);
            }
            stands
        });
        self.looked = Some(now);
        self.used.clone()
    }

    /// A look at `now` found the same as the last one, by which nobody stood in.
    pub(crate) fn found_the_same(&mut self, now: Instant) {
        self.looked = Some(now);
    }

    /// Whether anybody stands in.
    pub(crate) fn any(&self) -> bool {
        !self.standing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        let (mut grace, start) = (Grace::default(), Instant::now());
        let mut used = NextHops::default();
        for &(second, interface, resolved) in looks {
            let found = [(backend(), interface.map(hop))];
            let now = start + Duration::from_secs(second);
            used = grace.add(found, |_| resolved, now);
            assert_eq!(grace.any(), interface.is_none() && !used.is_empty());
        }
        used.get(&backend()).map(|hop| hop.interface)
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
    fn the_five_seconds_begin_at_the_last_look_that_found_the_former_one() {
        let (mut grace, start) = (Grace::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        grace.add([(backend(), Some(hop(1)))], |_| true, at(0));
        grace.found_the_same(at(60));
        for (second, standing) in [(61, 1), (64, 1), (65, 0)] {
            let used = grace.add([(backend(), None)], |_| true, at(second));
            assert_eq!(used.len(), standing, "at {second} s");
        }
    }

    #[test]
    fn nothing_stands_in_where_there_is_no_route_or_nobody_answered() {
        assert_eq!(after(&[(0, Some(1), false), (1, None, false)]), None);
        let gone = [(0, Some(1), false), (1, None, false), (2, None, true)];
        assert_eq!(after(&gone), None);
        assert_eq!(after(&[(0, None, true)]), None);
    }

    /// What one look finds: the interface over which each of four backends is reached, and whose neighbours are being resolved.
    type Look = (u64, [Option<u32>; 4], [bool; 4]);

    fn of_four(host: usize) -> IpAddr {
        [10, 9, 0, host as u8].into()
    }

    /// What is in use after each look, by what each found in full.
    fn by_all_that_is_found(looks: &[Look]) -> Vec<BTreeMap<IpAddr, NextHop>> {
        let mut used: BTreeMap<IpAddr, (u64, NextHop)> = BTreeMap::new();
        let mut now = 0;
        let mut all = Vec::new();
        for (seconds, found, resolved) in looks {
            now += seconds;
            for host in 0..4 {
                let address = of_four(host);
                if let Some(interface) = found[host] {
                    used.insert(address, (now, hop(interface)));
                } else if let Some((seen, _)) = used.get(&address)
                    && !(now - seen < GRACE_TIME.as_secs() && resolved[host])
                {
                    used.remove(&address);
                }
            }
            let hops = used.iter().map(|(&address, &(_, hop))| (address, hop));
            all.push(hops.collect());
        }
        all
    }

    proptest! {
        #[test]
        fn what_is_found_otherwise_than_before_is_enough_to_know(
            looks in prop::collection::vec(
                (
                    0..4_u64,
                    prop::array::uniform4(prop::option::of(1..3_u32)),
                    prop::array::uniform4(any::<bool>()),
                ),
                1..16,
            ),
        ) {
            let (mut grace, mut now) = (Grace::default(), Instant::now());
            let mut before = [None; 4];
            for ((seconds, found, resolved), expected) in looks.iter().zip(by_all_that_is_found(&looks)) {
                now += Duration::from_secs(*seconds);
                let differing = (0..4).filter(|&host| found[host] != before[host]);
                let differing = differing.map(|host| (of_four(host), found[host].map(hop)));
                let is_resolving = |address| (0..4).any(|host| of_four(host) == address && resolved[host]);
                let used = grace.add(differing.collect::<Vec<_>>(), is_resolving, now);
                prop_assert_eq!(used, expected.into_iter().collect::<NextHops>());
                before = *found;
            }
        }
    }
}
