//! One look at the kernel: the next hop of every wanted address.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use futures::{StreamExt, TryFutureExt, TryStreamExt, stream};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rtnetlink::Handle;

use super::{
    InterfaceView, NextHop, NextHopError,
    exit::{self, Exit},
    link,
    memory::Memory,
    neighbour::{self, Neighbour, Place},
    route::{self, Route},
};

/// Questions on their way at once; their answers fit a socket's receive buffer many times over.
pub(crate) const AT_ONCE: usize = 32;

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

/// What one look found.
#[derive(Debug)]
pub(crate) struct Survey {
    routes: BTreeMap<IpAddr, Route>,
    /// Those that are up.
    links: BTreeMap<u32, InterfaceView>,
    /// Every neighbour that a packet would go to.
    pub(crate) neighbours: BTreeMap<Place, Neighbour>,
}

impl Survey {
    /// Looks at routes, then at the links and neighbours that these lead over, each once.
    pub(crate) async fn take(
        kernel: &Handle,
        addresses: &BTreeSet<IpAddr>,
    ) -> Result<Self, NextHopError> {
        let routes = ask_each(addresses, |address| route::look_up(kernel, address)).await?;
        let routes: BTreeMap<IpAddr, Route> = present(routes);
        let interfaces = routes.values().map(|route| route.interface).collect();
        let links = ask_each(&interfaces, |index| link::by_index(kernel, index)).await?;
        let mut links: BTreeMap<u32, InterfaceView> = present(links);
        // What VLANs are on, and what these are on.
        for _ in 0..exit::MOST {
            let missing = exit::missing(&links);
            let below = ask_each(&missing, |index| link::by_index(kernel, index)).await?;
            links.extend(present(below));
        }
        links.retain(|_, link| link.up);
        let places = routes
            .values()
            .map(|route| (route.interface, route.neighbour));
        let places = places
            .filter(|(interface, _)| links.contains_key(interface))
            .collect();
        let neighbours = ask_each(&places, |place| neighbour::look_up(kernel, place)).await?;
        Ok(Self {
            routes,
            links,
            neighbours,
        })
    }

    /// Whether there is a route to `address`, and its neighbour has yet to answer.
    pub(crate) fn is_resolving(&self, address: IpAddr) -> bool {
        let neighbour = self
            .routes
            .get(&address)
            .and_then(|route| self.neighbours.get(&(route.interface, route.neighbour)));
        matches!(neighbour, Some(Neighbour::Missing | Neighbour::Resolving))
    }

    /// The next hop of each address that has one.
    pub(crate) fn next_hops(&self, memory: &Memory, sources: Sources) -> BTreeMap<IpAddr, NextHop> {
        let next_hop = |address: IpAddr, route: &Route| {
            let link = self.links.get(&route.interface)?;
            let exit = Exit::of(link, &self.links)?;
            let source = sources.for_address(address, route)?;
            Some(NextHop {
                interface: exit.interface,
                source_mac: link.mac,
                destination_mac: memory.mac((route.interface, route.neighbour))?,
                source: source.addr(),
                source_bits: source.max_prefix_len() - source.prefix_len(),
                mtu: route.mtu.unwrap_or(exit.mtu).min(exit.mtu),
                tags: exit.tags,
            })
        };
        let found = self
            .routes
            .iter()
            .map(|(&address, route)| (address, next_hop(address, route)));
        present(found.collect())
    }
}

fn present<K: Ord, V>(found: BTreeMap<K, Option<V>>) -> BTreeMap<K, V> {
    found
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

/// Asks the same question about each key, several at once.
async fn ask_each<K: Copy + Ord, V, F>(
    keys: &BTreeSet<K>,
    question: impl Fn(K) -> F,
) -> Result<BTreeMap<K, V>, NextHopError>
where
    F: Future<Output = Result<V, NextHopError>>,
{
    let question = |&key| question(key).map_ok(move |answer| (key, answer));
    let questions: Vec<_> = keys.iter().map(question).collect();
    stream::iter(questions)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}
