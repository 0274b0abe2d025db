//! The next hops of backends, as they were and as they are.

use std::{cmp::Ordering, collections::BTreeMap, net::IpAddr};

use super::NextHop;

/// The addresses whose next hop is new, gone or another one, in their order. One pass over both.
pub fn differing_next_hops(
    before: &BTreeMap<IpAddr, NextHop>,
    after: &BTreeMap<IpAddr, NextHop>,
) -> Vec<IpAddr> {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    let mut differing = Vec::new();
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return differing,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((was, _)), Some((is, _))) => was.cmp(is),
        };
        let was = before.next_if(|_| order != Ordering::Greater);
        let is = after.next_if(|_| order != Ordering::Less);
        if was != is {
            differing.extend(was.or(is).map(|(&address, _)| address));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next_hops(interfaces: BTreeMap<u8, u32>) -> BTreeMap<IpAddr, NextHop> {
        let hop = |(host, interface)| {
            let hop = NextHop {
                interface,
                source_mac: [2; 6],
                destination_mac: [4; 6],
                source: [10, 0, 0, 1].into(),
                source_bits: 0,
                mtu: 1_500,
                tags: [None; 2],
            };
            ([10, 1, 0, host].into(), hop)
        };
        interfaces.into_iter().map(hop).collect()
    }

    fn some() -> impl Strategy<Value = BTreeMap<IpAddr, NextHop>> {
        prop::collection::btree_map(0..12_u8, 1..3_u32, 0..12).prop_map(next_hops)
    }

    proptest! {
        #[test]
        fn they_are_those_that_one_lookup_each_finds(before in some(), after in some()) {
            let all = (0..12).map(|host| IpAddr::from([10, 1, 0, host]));
            let expected: Vec<_> = all.filter(|address| before.get(address) != after.get(address)).collect();
            prop_assert_eq!(differing_next_hops(&before, &after), expected);
        }
    }
}
