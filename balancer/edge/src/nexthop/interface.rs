//! Interfaces by name, and those that carry the host's default routes.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use rtnetlink::{
    RouteMessageBuilder,
    packet_route::{
        link::{LinkAttribute, LinkMessage},
        route::{RouteAttribute, RouteMessage, RouteType},
    },
};

use super::{InterfaceView, NextHopError, kernel, link};

/// Every interface of the network namespace, as one look found them.
pub struct Interfaces(Vec<LinkMessage>);

impl Interfaces {
    /// Asks the kernel.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn look() -> Result<Self, NextHopError> {
        let kernel = kernel::connect()?;
        // All, so that a name too long for a request is a missing interface, and no kernel error.
        let links = kernel::all("its links", kernel.link().get().execute()).await?;
        Ok(Self(links))
    }

    /// The interface called `name`.
    ///
    /// # Errors
    ///
    /// That of a missing one names those that exist; or it is none of Ethernet.
    pub fn named(&self, name: &str) -> Result<InterfaceView, NextHopError> {
        match self.0.iter().find(|link| named(link) == Some(name)) {
            Some(link) => link::view(link),
            None => {
                let known = self.0.iter().filter_map(named).map(str::to_owned).collect();
                Err(NextHopError::NoInterface {
                    name: name.to_owned(),
                    known,
                })
            }
        }
    }

    /// The bond of each interface that is a member of one, by their numbers.
    pub fn bond_members(&self) -> BTreeMap<u32, u32> {
        let links: Vec<_> = self.views().collect();
        members(&links)
    }

    /// The members of the bond of this number.
    pub(super) fn members_of(&self, bond: u32) -> impl Iterator<Item = InterfaceView> {
        self.views()
            .filter(move |link| link.controller == Some(bond))
    }

    /// Those of Ethernet.
    fn views(&self) -> impl Iterator<Item = InterfaceView> {
        self.0.iter().flat_map(link::view)
    }
}

/// The interface called `name`, as [`Interfaces::named`] has it.
pub async fn interface(name: &str) -> Result<InterfaceView, NextHopError> {
    Interfaces::look().await?.named(name)
}

fn members(links: &[InterfaceView]) -> BTreeMap<u32, u32> {
    let bonds: BTreeSet<u32> = (links.iter().filter(|link| link.bond))
        .map(|link| link.index)
        .collect();
    let member = |link: &InterfaceView| Some((link.index, link.controller?));
    let members = links.iter().filter_map(member);
    members.filter(|(_, bond)| bonds.contains(bond)).collect()
}

/// The numbers of the interfaces that a default route of IPv4 or IPv6 leaves by, in any table, in ascending order.
pub async fn default_route_interfaces() -> Result<Vec<u32>, NextHopError> {
    let kernel = kernel::connect()?;
    let mut interfaces = Vec::new();
    let questions = [
        RouteMessageBuilder::<std::net::Ipv4Addr>::new().build(),
        RouteMessageBuilder::<std::net::Ipv6Addr>::new().build(),
    ];
    for question in questions {
        // Edges may hold a million routes: look at each as it comes and keep none.
        let answers = kernel.route().get(question).execute();
        let found = answers.try_for_each(|route| {
            if route.header.destination_prefix_length == 0
                && route.header.kind == RouteType::Unicast
            {
                interfaces.extend(outgoing(&route));
            }
            futures::future::ready(Ok(()))
        });
        found
            .await
            .map_err(|error| NextHopError::from_rtnetlink("its routes", error))?;
    }
    interfaces.sort_unstable();
    interfaces.dedup();
    Ok(interfaces)
}

fn named(link: &LinkMessage) -> Option<&str> {
    link.attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.as_str()),
            _ => None,
        })
}

fn outgoing(route: &RouteMessage) -> Vec<u32> {
    let of = |attribute: &RouteAttribute| match attribute {
        RouteAttribute::Oif(index) => vec![*index],
        RouteAttribute::MultiPath(hops) => hops.iter().map(|hop| hop.interface_index).collect(),
        _ => Vec::new(),
    };
    route.attributes.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: E13
    #[test]
    fn members_of_bonds_are_told_from_ports_of_bridges() {
        let link = |index, bond, controller| InterfaceView {
            name: format!("e{index}"),
            index,
            mac: [2; 6],
            mtu: 1_500,
            up: true,
            xdp: None,
            veth: false,
            vlan: None,
            bond,
            controller,
        };
        let links = [
            link(2, false, Some(9)),
            link(3, false, Some(9)),
            link(4, false, Some(8)),
            link(5, false, None),
            link(8, false, None),
            link(9, true, None),
        ];
        assert_eq!(members(&links), [(2, 9), (3, 9)].into());
    }
}
