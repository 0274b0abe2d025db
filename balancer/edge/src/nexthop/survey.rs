//! One look at the links and neighbours that routes lead over, and what that makes of the routes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use futures::{StreamExt, TryFutureExt, TryStreamExt, stream};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rtnetlink::Handle;

use super::{
    InterfaceView, NextHop, NextHopError,
    egress::{self, Egress},
    link,
    memory::Memory,
    neighbour::{self, Neighbour, Place},
    route::Route,
};

/// Questions on their way at once; their answers fit a socket's receive buffer many times over.
pub(crate) const MAX_CONCURRENT_QUESTIONS: usize = 32;

/// Outer sources that the operator chose, or where they lie; without one, the route's own is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// For backends with IPv4 addresses.
    pub ipv4: Option<Ipv4Net>,
    /// For backends with IPv6 addresses.
    pub ipv6: Option<Ipv6Net>,
}

impl Sources {
    fn for_address(self, address: IpAddr, route: &Route) -> Option<IpNet> {
        let chosen = match address {
            IpAddr::V4(_) => self.ipv4.map(IpNet::from),
            IpAddr::V6(_) => self.ipv6.map(IpNet::from),
        };
        chosen
            .or(route.source.map(IpNet::from))
            .filter(|source| source.addr().is_ipv4() == address.is_ipv4())
    }
}

/// The way over a neighbour: what the next hops of all addresses behind it have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    egress: Egress,
    source_mac: [u8; 6],
    destination_mac: [u8; 6],
}

impl Way {
    /// The next hop of an address whose route leads this way.
    fn next_hop(&self, address: IpAddr, route: &Route, sources: Sources) -> Option<NextHop> {
        let source = sources.for_address(address, route)?;
        Some(NextHop {
            interface: self.egress.interface,
            source_mac: self.source_mac,
            destination_mac: self.destination_mac,
            source: source.addr(),
            source_bits: source.max_prefix_len() - source.prefix_len(),
            mtu: route.mtu.unwrap_or(self.egress.mtu).min(self.egress.mtu),
            tags: self.egress.tags,
        })
    }
}

/// The next hop of an address, by its route and the way that this leads.
pub(crate) fn next_hop(
    address: IpAddr,
    routes: &BTreeMap<IpAddr, Route>,
    ways: &BTreeMap<Place, Way>,
    sources: Sources,
) -> Option<NextHop> {
    let route = routes.get(&address)?;
    let way = ways.get(&(route.interface, route.neighbour))?;
    way.next_hop(address, route, sources)
}

/// The neighbours over which the way is new, gone or another one.
pub(crate) fn differing_ways(
    before: &BTreeMap<Place, Way>,
    after: &BTreeMap<Place, Way>,
) -> BTreeSet<Place> {
    let new = after.iter();
    let new = new.filter(|(place, way)| before.get(place) != Some(way));
    let gone = before.keys().filter(|place| !after.contains_key(place));
    new.map(|(place, _)| place).chain(gone).copied().collect()
}

/// What one look found.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Those that are up.
    links: BTreeMap<u32, InterfaceView>,
    /// Every neighbour that a packet would go to.
    pub(crate) neighbours: BTreeMap<Place, Neighbour>,
}

impl Survey {
    /// Looks at the neighbours that routes lead to, and at their links, each once.
    pub(crate) async fn take(
        kernel: &Handle,
        places: &BTreeSet<Place>,
    ) -> Result<Self, NextHopError> {
        let interfaces = places.iter().map(|&(interface, _)| interface).collect();
        let links = ask_each(&interfaces, |index| link::by_index(kernel, index)).await?;
        let mut links: BTreeMap<u32, InterfaceView> = present(links);
        // What VLANs are on, and what these are on.
        for _ in 0..egress::MAX_TAGS {
            let missing = egress::missing(&links);
            let below = ask_each(&missing, |index| link::by_index(kernel, index)).await?;
            links.extend(present(below));
        }
        links.retain(|_, link| link.up);
        let places = places.iter().copied();
        let places = places
            .filter(|(interface, _)| links.contains_key(interface))
            .collect();
        let neighbours = ask_each(&places, |place| neighbour::look_up(kernel, place)).await?;
        Ok(Self { links, neighbours })
    }

    /// Whether a neighbour has yet to answer.
    pub(crate) fn is_resolving(&self, place: Place) -> bool {
        let neighbour = self.neighbours.get(&place);
        matches!(neighbour, Some(Neighbour::Missing | Neighbour::Resolving))
    }

    /// The way over each neighbour whose MAC address is known.
    pub(crate) fn ways(&self, memory: &Memory) -> BTreeMap<Place, Way> {
        let way = |place: Place| {
            let link = self.links.get(&place.0)?;
            Some(Way {
                egress: Egress::of(link, &self.links)?,
                source_mac: link.mac,
                destination_mac: memory.mac(place)?,
            })
        };
        let ways = self.neighbours.keys();
        present(ways.map(|&place| (place, way(place))).collect())
    }
}

fn present<K: Ord, V>(found: BTreeMap<K, Option<V>>) -> BTreeMap<K, V> {
    found
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

/// Asks the same question about each key, several at once.
pub(crate) async fn ask_each<K: Copy + Ord, V, F>(
    keys: &BTreeSet<K>,
    question: impl Fn(K) -> F,
) -> Result<BTreeMap<K, V>, NextHopError>
where
    F: Future<Output = Result<V, NextHopError>>,
{
    let question = |&key| question(key).map_ok(move |answer| (key, answer));
    let questions: Vec<_> = keys.iter().map(question).collect();
    stream::iter(questions)
        .buffer_unordered(MAX_CONCURRENT_QUESTIONS)
        .try_collect()
        .await
}
