//! A value for each of many addresses, of which versions are compared quickly.

use std::{collections::BTreeMap, net::IpAddr, ops::Index, sync::Arc};

/// How many parts a map has: of 32,767 addresses each part has 128.
const PARTS: usize = 256;

/// Values by address, in parts that versions of the map share.
///
/// A copy costs nothing, an edit of a copy copies the part that the address is in, and what [differs](AddressMap::differing) is
/// found without a look at the parts that are shared: whoever follows a map needs time for what has changed in it, and not for all
/// that it holds.
#[derive(Clone, Debug)]
pub struct AddressMap<V> {
    parts: Arc<[Arc<BTreeMap<IpAddr, V>>]>,
    len: usize,
}

impl<V> AddressMap<V> {
    /// How many addresses there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of an address.
    pub fn get(&self, address: &IpAddr) -> Option<&V> {
        self.parts[part_of(address)].get(address)
    }

    /// Whether an address has a value.
    pub fn contains_key(&self, address: &IpAddr) -> bool {
        self.get(address).is_some()
    }

    /// Addresses and values, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (&IpAddr, &V)> {
        self.parts.iter().flat_map(|part| part.iter())
    }
}

impl<V: Clone> AddressMap<V> {
    /// Gives an address a value; the one that it had.
    pub fn insert(&mut self, address: IpAddr, value: V) -> Option<V> {
        let former = self.part_mut(&address).insert(address, value);
        self.len += usize::from(former.is_none());
        former
    }

    /// Takes an address out; the value that it had.
    pub fn remove(&mut self, address: &IpAddr) -> Option<V> {
        if !self.contains_key(address) {
            return None;
        }
        self.len -= 1;
        self.part_mut(address).remove(address)
    }

    fn part_mut(&mut self, address: &IpAddr) -> &mut BTreeMap<IpAddr, V> {
        Arc::make_mut(&mut Arc::make_mut(&mut self.parts)[part_of(address)])
    }
}

impl<V: PartialEq> AddressMap<V> {
    /// The addresses that have no value, or another one, in the other map, in their order. Parts that both share are not looked at.
    pub fn differing(&self, other: &Self) -> Vec<IpAddr> {
        let parts = self.parts.iter().zip(&*other.parts);
        let mut differing = Vec::new();
        for (this, other) in parts.filter(|(this, other)| !Arc::ptr_eq(this, other)) {
            let here = this.iter();
            let here = here.filter(|(address, value)| other.get(address) != Some(value));
            let there = other.keys().filter(|address| !this.contains_key(address));
            differing.extend(here.map(|(address, _)| address).chain(there));
        }
        differing.sort_unstable();
        differing
    }
}

impl<V: PartialEq> PartialEq for AddressMap<V> {
    fn eq(&self, other: &Self) -> bool {
        let mut parts = self.parts.iter().zip(&*other.parts);
        self.len == other.len
            && parts.all(|(this, other)| Arc::ptr_eq(this, other) || this == other)
    }
}

impl<V: Eq> Eq for AddressMap<V> {}

impl<V> Default for AddressMap<V> {
    fn default() -> Self {
        Self {
            parts: vec![Arc::default(); PARTS].into(),
            len: 0,
        }
    }
}

impl<V: Clone> FromIterator<(IpAddr, V)> for AddressMap<V> {
    fn from_iter<I: IntoIterator<Item = (IpAddr, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (address, value) in entries {
            map.insert(address, value);
        }
        map
    }
}

impl<V> Index<&IpAddr> for AddressMap<V> {
    type Output = V;

    /// # Panics
    ///
    /// When the address has no value.
    fn index(&self, address: &IpAddr) -> &V {
        self.get(address).expect("the address has a value")
    }
}

/// The part that an address is in: neighbours are in different ones, so that no part grows with a prefix.
fn part_of(address: &IpAddr) -> usize {
    let number = match address {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64 ^ v6.to_bits() as u64,
    };
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - PARTS.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(host: u16) -> IpAddr {
        let [high, low] = host.to_be_bytes();
        match host % 2 {
            0 => [10, 1, high, low].into(),
            _ => [0xfd00, 0, 0, 0, 0, 0, 0, host].into(),
        }
    }

    /// What another version has for hosts: `None` takes one out.
    type Edits = Vec<(u16, Option<u8>)>;

    /// Values of hosts, and the edits that lead to another version.
    fn versions() -> impl Strategy<Value = (BTreeMap<u16, u8>, Edits)> {
        let values = prop::collection::btree_map(0..600_u16, 0..3_u8, 0..400);
        let edits = prop::collection::vec((0..600_u16, prop::option::of(0..3_u8)), 0..40);
        (values, edits)
    }

    proptest! {
        #[test]
        fn it_holds_what_an_ordinary_map_holds_and_finds_what_one_lookup_each_finds((values, edits) in versions()) {
            let before: BTreeMap<IpAddr, u8> = values.into_iter().map(|(host, value)| (address(host), value)).collect();
            let map: AddressMap<u8> = before.clone().into_iter().collect();
            let (mut after, mut edited) = (before.clone(), map.clone());
            for (host, value) in edits {
                let address = address(host);
                match value {
                    Some(value) => prop_assert_eq!(edited.insert(address, value), after.insert(address, value)),
                    None => prop_assert_eq!(edited.remove(&address), after.remove(&address)),
                }
            }
            for (map, expected) in [(&map, &before), (&edited, &after)] {
                prop_assert_eq!(map.len(), expected.len());
                prop_assert_eq!(map.is_empty(), expected.is_empty());
                let all: BTreeMap<IpAddr, u8> = map.iter().map(|(&address, &value)| (address, value)).collect();
                prop_assert_eq!(&all, expected);
            }
            let mut all: Vec<IpAddr> = (0..600).map(address).collect();
            all.sort_unstable();
            let expected: Vec<IpAddr> = all.into_iter().filter(|address| before.get(address) != after.get(address)).collect();
            prop_assert_eq!(map == edited, expected.is_empty());
            prop_assert_eq!(map.differing(&edited), &expected[..]);
            prop_assert_eq!(edited.differing(&map), expected);
            // Also when nothing is shared.
            let rebuilt: AddressMap<u8> = after.into_iter().collect();
            prop_assert_eq!(&rebuilt, &edited);
            prop_assert!(rebuilt.differing(&edited).is_empty());
        }
    }

    #[test]
    fn an_edit_copies_one_part_and_shares_the_others() {
        let before: AddressMap<u8> = (0..2_000).map(|host| (address(host), 1)).collect();
        let mut after = before.clone();
        after.insert(address(7), 2);
        let parts = before.parts.iter().zip(&*after.parts);
        let copied = parts.filter(|(before, after)| !Arc::ptr_eq(before, after));
        assert_eq!(copied.count(), 1);
        assert_eq!(before[&address(7)], 1);
    }

    #[test]
    fn the_addresses_of_one_prefix_are_spread_over_the_parts() {
        let v4 = (0..32_767_u32).map(|host| IpAddr::from((0x0a10_0001 + host).to_be_bytes()));
        let v6 = (0..32_767_u16).map(|host| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, host]));
        for addresses in [v4.collect::<Vec<_>>(), v6.collect()] {
            let map: AddressMap<()> = addresses.into_iter().map(|address| (address, ())).collect();
            let largest = map.parts.iter().map(|part| part.len()).max();
            assert!(largest < Some(160), "{largest:?}");
        }
    }
}
