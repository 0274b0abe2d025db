//! The grace of former next hops: they stay in use while a route has moved to a neighbour that is not known yet.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::NextHop;

/// The kernel gives up a silent neighbour after three seconds, by default.
const GRACE_TIME: Duration = Duration::from_secs(5);

/// The next hops in use, with those in grace: former ones that stand in.
///
/// A route that moves leads over a neighbour that the kernel may never have asked for. Its answer is milliseconds away:
/// packets go on by the former next hop until then, rather than nowhere, or to another backend and back.
#[derive(Debug, Default)]
pub(crate) struct Grace {
    used: Arc<BTreeMap<IpAddr, NextHop>>,
    /// When those of `used` that stand in were last found.
    standing: BTreeMap<IpAddr, Instant>,
    /// When all others of `used` were last found.
    looked: Option<Instant>,
}

impl Grace {
    /// The next hops to use at `now`: those that were `found`, and the former ones of addresses whose neighbour is being
    /// `resolved`.
    pub(crate) fn add(
        &mut self,
        mut found: BTreeMap<IpAddr, NextHop>,
        resolved: impl Fn(IpAddr) -> bool,
        now: Instant,
    ) -> Arc<BTreeMap<IpAddr, NextHop>> {
        let mut standing = BTreeMap::new();
        for (&address, &hop) in &*self.used {
            if found.contains_key(&address) {
                continue;
            }
            let seen = (self.standing.get(&address).copied()).or(self.looked);
            let seen = seen.filter(|seen| now.duration_since(*seen) < GRACE_TIME);
            if let Some(seen) = seen.filter(|_| resolved(address)) {
                standing.insert(address, (seen, hop));
            }
        }
        found.extend(standing.iter().map(|(&address, &(_, hop))| (address, hop)));
        self.standing = standing
            .into_iter()
            .map(|(address, (seen, _))| (address, seen))
            .collect();
        self.looked = Some(now);
        self.used = Arc::new(found);
        Arc::clone(&self.used)
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
        let mut used = Arc::default();
        for &(second, interface, resolved) in looks {
            let found = interface.map(|interface| (backend(), hop(interface)));
            let now = start + Duration::from_secs(second);
            used = grace.add(found.into_iter().collect(), |_| resolved, now);
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
        grace.add([(backend(), hop(1))].into(), |_| true, at(0));
        grace.found_the_same(at(60));
        for (second, standing) in [(61, 1), (64, 1), (65, 0)] {
            let used = grace.add(BTreeMap::new(), |_| true, at(second));
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
}
