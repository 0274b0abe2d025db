//! Where frames leave the host: XDP cannot send by a VLAN, only by what it is on, with the tags written.

use std::collections::{BTreeMap, BTreeSet};

use super::InterfaceView;

/// The most tags that a program writes.
pub(crate) const MAX_TAGS: usize = 2;

/// Bytes of a tag.
const TAG: u32 = 4;

/// How frames leave by an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Egress {
    /// The number of the interface below all VLANs.
    pub(crate) interface: u32,
    /// The tags of all of them, outermost first.
    pub(crate) tags: [Option<[u8; 4]>; MAX_TAGS],
    /// The largest IP packet that all of them take, in bytes.
    pub(crate) mtu: u32,
}

impl Egress {
    /// The way out of `link`; `None` if one of the interfaces below is not known, or there are too many VLANs.
    pub(crate) fn of(link: &InterfaceView, links: &BTreeMap<u32, InterfaceView>) -> Option<Self> {
        let (mut link, mut mtu) = (link, link.mtu);
        let mut tags = Vec::new();
        while let Some(vlan) = link.vlan {
            if tags.len() == MAX_TAGS {
                return None;
            }
            tags.push(vlan.tag);
            link = links.get(&vlan.over?)?;
            mtu = mtu.min(link.mtu);
        }
        // The lowest VLAN's tag is written last, and so stands first.
        tags.reverse();
        // The kernel takes frames that are a tag longer than the MTU says, and no longer ones.
        let longer = (tags.len() as u32).saturating_sub(1) * TAG;
        Some(Self {
            interface: link.index,
            tags: [tags.first().copied(), tags.get(1).copied()],
            mtu: mtu.min(link.mtu.saturating_sub(longer)),
        })
    }
}

/// The numbers of the interfaces right below VLANs among `links` that are not among them.
pub(crate) fn missing(links: &BTreeMap<u32, InterfaceView>) -> BTreeSet<u32> {
    let below = links
        .values()
        .filter_map(|link| link.vlan.and_then(|vlan| vlan.over));
    below.filter(|index| !links.contains_key(index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nexthop::Vlan;

    fn link(index: u32, mtu: u32, vlan: Option<(Option<u32>, [u8; 4])>) -> InterfaceView {
        InterfaceView {
            name: format!("e{index}"),
            index,
            mac: [index as u8; 6],
            mtu,
            up: true,
            xdp: None,
            veth: false,
            vlan: vlan.map(|(over, tag)| Vlan { over, tag }),
            bond: false,
            controller: None,
        }
    }

    const OUTER: [u8; 4] = [0x88, 0xa8, 0, 100];
    const INNER: [u8; 4] = [0x81, 0, 0, 200];

    /// The way out of the first one.
    fn egress(links: &[InterfaceView]) -> Option<Egress> {
        let all = links
            .iter()
            .map(|link| (link.index, link.clone()))
            .collect();
        Egress::of(&links[0], &all)
    }

    #[test]
    fn an_interface_that_is_no_vlan_is_left_by_without_tags() {
        let found = Egress {
            interface: 2,
            tags: [None; 2],
            mtu: 1_600,
        };
        assert_eq!(egress(&[link(2, 1_600, None)]), Some(found));
    }

    // Promise: E13
    #[test]
    fn a_vlan_is_left_by_what_it_is_on_with_its_tag_and_the_smaller_mtu() {
        let of = |mtu| egress(&[link(3, mtu, Some((Some(2), INNER))), link(2, 1_600, None)]);
        let found = Egress {
            interface: 2,
            tags: [Some(INNER), None],
            mtu: 1_500,
        };
        assert_eq!(of(1_500), Some(found));
        assert_eq!(of(1_600).map(|egress| egress.mtu), Some(1_600));
        assert_eq!(of(9_000).map(|egress| egress.mtu), Some(1_600));
    }

    // Promise: E13
    #[test]
    fn the_lower_vlans_tag_stands_outside_and_the_second_one_takes_its_bytes() {
        let links = [
            link(4, 1_600, Some((Some(3), INNER))),
            link(3, 1_600, Some((Some(2), OUTER))),
            link(2, 1_600, None),
        ];
        let found = Egress {
            interface: 2,
            tags: [Some(OUTER), Some(INNER)],
            mtu: 1_596,
        };
        assert_eq!(egress(&links), Some(found));
        let mut narrow = links.clone();
        narrow[1].mtu = 1_400;
        assert_eq!(egress(&narrow).map(|egress| egress.mtu), Some(1_400));
        let mut known: BTreeMap<u32, InterfaceView> = [(4, links[0].clone())].into();
        assert_eq!(missing(&known), [3].into());
        known.insert(3, links[1].clone());
        assert_eq!(missing(&known), [2].into());
        known.insert(2, links[2].clone());
        assert_eq!(missing(&known), [].into());
    }

    // Promise: E13
    #[test]
    fn there_is_no_way_out_over_what_is_not_known_or_over_three_vlans() {
        let vlan = |index, over| link(index, 1_600, Some((over, INNER)));
        assert_eq!(egress(&[vlan(3, Some(2))]), None);
        assert_eq!(egress(&[vlan(3, None), link(2, 1_600, None)]), None);
        let three = [
            vlan(5, Some(4)),
            vlan(4, Some(3)),
            vlan(3, Some(2)),
            link(2, 1_600, None),
        ];
        assert_eq!(egress(&three), None);
    }
}
