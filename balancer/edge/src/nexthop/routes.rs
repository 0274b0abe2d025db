//! The routes of all wanted addresses, and which of them have to be asked for again.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    ops::Bound,
};

use balancer_core::model::AddressMap;

use super::{events::Doubt, neighbour::Place, route::Route};

/// So many routes are asked for each second although nothing is known to have changed: a change of which the kernel tells
/// nobody, such as a path MTU that it learns, shows within a second for each so many addresses.
pub(crate) const SWEEP: usize = 256;

/// What the kernel last said of each wanted address, and what may have changed since.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// What was wanted last.
    asked: AddressMap<()>,
    /// The same, in the order of the addresses.
    wanted: BTreeSet<IpAddr>,
    known: BTreeMap<IpAddr, Route>,
    /// Those to ask for.
    doubted: BTreeSet<IpAddr>,
    /// The last one that the sweep came to.
    swept: Option<IpAddr>,
    /// The addresses whose routes are others than at the last [`Routes::settle`], or were for a while.
    changed: BTreeSet<IpAddr>,
    /// Whom the known routes lead to.
    places: BTreeSet<Place>,
    /// The addresses behind each of these.
    behind: BTreeMap<Place, BTreeSet<IpAddr>>,
}

impl Routes {
    /// From now on these addresses count; new ones are doubted.
    pub(crate) fn want(&mut self, wanted: AddressMap<()>) {
        for address in self.asked.differing(&wanted) {
            if wanted.contains_key(&address) {
                self.wanted.insert(address);
                self.doubted.insert(address);
            } else {
                self.wanted.remove(&address);
                self.doubted.remove(&address);
                self.note(address, None);
            }
        }
        self.asked = wanted;
    }

    /// What an event concerns is asked for again.
    pub(crate) fn doubt(&mut self, doubt: &Doubt) {
        if doubt.all {
            self.doubted.clone_from(&self.wanted);
            return;
        }
        for prefix in &doubt.prefixes {
            let concerned = self.wanted.range(prefix.network()..=prefix.broadcast());
            self.doubted.extend(concerned);
        }
    }

    /// Doubts the next [`SWEEP`] addresses in turn.
    pub(crate) fn sweep(&mut self) {
        let after = self.swept.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.wanted.range((after, Bound::Unbounded));
        let turn: Vec<IpAddr> = rest.chain(&self.wanted).take(SWEEP).copied().collect();
        self.swept = turn.last().copied();
        self.doubted.extend(turn);
    }

    /// The addresses whose routes have to be asked for.
    pub(crate) fn doubted(&self) -> &BTreeSet<IpAddr> {
        &self.doubted
    }

    /// Takes in what the kernel says now.
    pub(crate) fn learn(&mut self, answers: BTreeMap<IpAddr, Option<Route>>) {
        for (address, route) in answers {
            self.doubted.remove(&address);
            self.note(address, route);
        }
    }

    /// Notes the route of an address.
    fn note(&mut self, address: IpAddr, route: Option<Route>) {
        let former = match route {
            Some(route) => self.known.insert(address, route),
            None => self.known.remove(&address),
        };
        if former == route {
            return;
        }
        self.changed.insert(address);
        let (from, to) = (former.map(place), route.map(place));
        if from == to {
            return;
        }
        if let Some(from) = from
            && let Some(behind) = self.behind.get_mut(&from)
        {
            behind.remove(&address);
            if behind.is_empty() {
                self.behind.remove(&from);
                self.places.remove(&from);
            }
        }
        if let Some(to) = to {
            self.behind.entry(to).or_default().insert(address);
            self.places.insert(to);
        }
    }

    /// Whom the known routes lead to.
    pub(crate) fn places(&self) -> &BTreeSet<Place> {
        &self.places
    }

    /// The addresses whose routes lead to one of these.
    pub(crate) fn behind(&self, place: Place) -> impl Iterator<Item = IpAddr> {
        let behind = self.behind.get(&place);
        behind.into_iter().flatten().copied()
    }

    /// Every address that has a route, with it.
    pub(crate) fn known(&self) -> &BTreeMap<IpAddr, Route> {
        &self.known
    }

    /// The addresses whose routes may be others than when what is known was last made use of.
    pub(crate) fn changed(&self) -> &BTreeSet<IpAddr> {
        &self.changed
    }

    /// What is known now has been made use of.
    pub(crate) fn settle(&mut self) {
        self.changed.clear();
    }
}

/// Whom a route leads to.
fn place(route: Route) -> Place {
    (route.interface, route.neighbour)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u16) -> IpAddr {
        let [high, low] = number.to_be_bytes();
        [10, 0, high, low].into()
    }

    fn route(interface: u32) -> Route {
        Route {
            interface,
            neighbour: [10, 1, 0, 1].into(),
            source: None,
            mtu: None,
        }
    }

    /// So many addresses, all of them known by interface 1.
    fn known(count: u16) -> Routes {
        let mut routes = Routes::default();
        routes.want((0..count).map(|each| (address(each), ())).collect());
        answer(&mut routes, 1);
        routes.settle();
        routes
    }

    /// Answers what is asked; returns how many questions that were.
    fn answer(routes: &mut Routes, interface: u32) -> usize {
        let asked = routes.doubted().clone();
        let answers = asked.iter().map(|&each| (each, Some(route(interface))));
        routes.learn(answers.collect());
        asked.len()
    }

    fn prefix(text: &str) -> Doubt {
        Doubt {
            all: false,
            prefixes: [text.parse().expect("a prefix")].into(),
        }
    }

    #[test]
    fn a_quiet_second_asks_the_same_of_few_backends_and_of_many() {
        for count in [256, 1_000, 32_767] {
            let mut routes = known(count);
            for second in 0..300 {
                routes.sweep();
                assert_eq!(answer(&mut routes, 1), SWEEP, "{count}, second {second}");
                assert!(routes.changed().is_empty());
            }
        }
        let mut few = known(5);
        few.sweep();
        assert_eq!(answer(&mut few, 1), 5);
    }

    // Promise: N2
    #[test]
    fn a_change_that_nobody_tells_shows_within_a_second_for_each_256_addresses() {
        for (count, seconds) in [(1, 1), (256, 1), (257, 2), (1_000, 4), (32_767, 128)] {
            let mut routes = known(count);
            for _ in 0..seconds {
                routes.sweep();
                answer(&mut routes, 2);
            }
            let all_new = routes.known().values().all(|each| *each == route(2));
            assert!(all_new, "{count} addresses after {seconds} s");
        }
    }

    #[test]
    fn a_route_that_changes_is_asked_for_at_the_addresses_it_leads_to() {
        let mut routes = known(1_000);
        routes.doubt(&prefix("10.0.1.0/24"));
        assert_eq!(answer(&mut routes, 1), 256);
        routes.doubt(&prefix("10.0.0.7/32"));
        assert_eq!(*routes.doubted(), [address(7)].into());
        answer(&mut routes, 1);
        routes.doubt(&prefix("10.9.0.0/16"));
        routes.doubt(&prefix("::/0"));
        assert_eq!(answer(&mut routes, 1), 0);
        routes.doubt(&prefix("0.0.0.0/0"));
        assert_eq!(answer(&mut routes, 1), 1_000);
        let all = Doubt {
            all: true,
            ..Doubt::default()
        };
        routes.doubt(&all);
        assert_eq!(answer(&mut routes, 1), 1_000);
        assert!(routes.changed().is_empty());
    }

    #[test]
    fn new_addresses_are_asked_for_at_once_and_no_others() {
        let mut routes = known(1_000);
        routes.want((500..1_001).map(|each| (address(each), ())).collect());
        assert_eq!(routes.changed().len(), 500, "500 are gone");
        assert_eq!(*routes.doubted(), [address(1_000)].into());
        assert_eq!(routes.known().len(), 500);
    }

    #[test]
    fn what_was_not_answered_stays_in_doubt() {
        let mut routes = known(3);
        routes.doubt(&prefix("10.0.0.0/30"));
        routes.learn([(address(1), None)].into());
        assert!(!routes.changed().is_empty());
        assert_eq!(*routes.doubted(), [address(0), address(2)].into());
        assert_eq!(routes.known().len(), 2);
    }

    #[test]
    fn who_is_behind_a_neighbour_follows_the_routes() {
        let mut routes = known(3);
        let place = |interface| place(route(interface));
        let behind = |routes: &Routes, interface| Vec::from_iter(routes.behind(place(interface)));
        assert_eq!(behind(&routes, 1), [0, 1, 2].map(address));
        routes.learn([(address(1), Some(route(2))), (address(2), None)].into());
        assert_eq!(behind(&routes, 1), [address(0)]);
        assert_eq!(behind(&routes, 2), [address(1)]);
        assert_eq!(*routes.places(), [place(1), place(2)].into());
        assert_eq!(*routes.changed(), [address(1), address(2)].into());
        routes.want(AddressMap::from_iter([(address(1), ())]));
        assert_eq!(*routes.places(), [place(2)].into());
        assert_eq!(*routes.changed(), [0, 1, 2].map(address).into());
        routes.settle();
        assert!(routes.changed().is_empty());
    }
}
