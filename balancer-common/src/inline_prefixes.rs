//! Short lists of prefixes as constants of a program, in place of a map look-up.
//!
//! Comparing an address with four prefixes costs less than one helper call. If there are more prefixes than a list holds, the
//! program uses its map instead.

use crate::Address;

/// The most prefixes of each family in a list.
pub const MAX_PREFIXES: usize = 4;

/// Words of a list: whether it is complete; the IPv4 prefixes, with address and mask in one word; the IPv6 prefixes, with two
/// words of address and two of mask.
pub const WORDS: usize = 1 + MAX_PREFIXES + 4 * MAX_PREFIXES;

/// A list that is read word by word.
pub trait InlinePrefixes {
    /// The word at index `at`, below [`WORDS`].
    fn word(&self, at: usize) -> u64;

    /// Whether a prefix of the list contains `address`. `None` if the list is not complete, so that the map must be asked.
    #[inline(always)]
    fn has(&self, address: &Address) -> Option<bool> {
        if self.word(0) == 0 {
            return None;
        }
        let has = if address.is_ipv4() {
            let word = address.ipv4_word();
            let is = |entry: usize| {
                let prefix = self.word(1 + entry);
                word & (prefix >> 32) as u32 == prefix as u32
            };
            is(0) || is(1) || is(2) || is(3)
        } else {
            let [high, low] = address.0;
            let is = |entry: usize| {
                let at = 1 + MAX_PREFIXES + 4 * entry;
                high & self.word(at + 2) == self.word(at)
                    && low & self.word(at + 3) == self.word(at + 1)
            };
            is(0) || is(1) || is(2) || is(3)
        };
        Some(has)
    }
}

impl InlinePrefixes for [u64; WORDS] {
    fn word(&self, at: usize) -> u64 {
        self[at]
    }
}

/// A prefix that matches no address: it has a bit outside its mask.
const NOBODY: u64 = 1;

/// Makes a list of prefixes, each an address and a length (up to 32 for IPv4). Host bits are ignored.
pub fn list(prefixes: impl IntoIterator<Item = (Address, u32)>) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    words[0] = 1;
    for entry in 0..MAX_PREFIXES {
        words[1 + entry] = NOBODY;
        words[1 + MAX_PREFIXES + 4 * entry] = NOBODY;
    }
    let (mut ipv4, mut ipv6) = (0, 0);
    for (address, length) in prefixes {
        let count = if address.is_ipv4() {
            &mut ipv4
        } else {
            &mut ipv6
        };
        if *count == MAX_PREFIXES {
            words[0] = 0;
            break;
        }
        if address.is_ipv4() {
            let mask = mask(length.min(32), 32) as u32;
            let mask = mask.to_be();
            words[1 + *count] = u64::from(address.ipv4_word() & mask) | u64::from(mask) << 32;
        } else {
            let masks = [
                mask(length.min(64), 64).to_be(),
                mask(length.saturating_sub(64), 64).to_be(),
            ];
            let at = 1 + MAX_PREFIXES + 4 * *count;
            for half in 0..2 {
                words[at + half] = address.0[half] & masks[half];
                words[at + 2 + half] = masks[half];
            }
        }
        *count += 1;
    }
    words
}

/// The highest `length` of `bits` bits.
fn mask(length: u32, bits: u32) -> u64 {
    match length {
        0 => 0,
        length => (u64::MAX >> (64 - length)) << (bits - length),
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn v4(octets: [u8; 4]) -> Address {
        Address::from_ipv4(octets)
    }

    fn v6(first: [u8; 2], last: u8) -> Address {
        let mut octets = [0; 16];
        (octets[0], octets[1], octets[15]) = (first[0], first[1], last);
        Address::from_ipv6(octets)
    }

    // Promise: A1
    #[test]
    fn an_address_is_in_a_prefix_of_its_family_or_in_none() {
        let list = list([
            (v4([10, 1, 7, 9]), 16),
            (v4([192, 0, 2, 128]), 25),
            (v4([198, 51, 100, 1]), 32),
            (v6([0xfd, 0], 1), 16),
            (v6([0x20, 1], 0xf0), 124),
            (v6([0x20, 2], 9), 128),
        ]);
        for inside in [
            v4([10, 1, 255, 255]),
            v4([192, 0, 2, 255]),
            v4([198, 51, 100, 1]),
            v6([0xfd, 0], 77),
            v6([0x20, 1], 0xff),
            v6([0x20, 2], 9),
        ] {
            assert_eq!(list.has(&inside), Some(true), "{:?}", inside.octets());
        }
        for outside in [
            v4([10, 2, 0, 1]),
            v4([192, 0, 2, 127]),
            v4([198, 51, 100, 2]),
            v4([0, 0, 0, 1]),
            v4([1, 0, 0, 0]),
            v6([0xfd, 1], 1),
            v6([0x20, 1], 0xef),
            v6([0x20, 2], 8),
            v6([0, 0], 0),
            Address([NOBODY, 0]),
        ] {
            assert_eq!(list.has(&outside), Some(false), "{:?}", outside.octets());
        }
    }

    #[test]
    fn everybody_is_in_a_prefix_of_no_bits() {
        let list = list([(v4([0; 4]), 0), (v6([0, 0], 0), 0)]);
        for address in [v4([1, 2, 3, 4]), v4([255; 4]), v6([0xff, 0xff], 0xff)] {
            assert_eq!(list.has(&address), Some(true));
        }
    }

    // Promise: A1
    #[test]
    fn nobody_is_in_an_empty_list_and_more_than_it_holds_is_for_the_map() {
        assert_eq!(list([]).has(&v4([10, 0, 0, 1])), Some(false));
        assert_eq!(list([]).has(&v6([0, 0], 1)), Some(false));
        let many = |count: u8| -> Vec<_> { (0..count).map(|n| (v4([10, n, 0, 0]), 16)).collect() };
        assert_eq!(list(many(4)).has(&v4([10, 3, 1, 1])), Some(true));
        assert_eq!(list(many(5)).has(&v4([10, 3, 1, 1])), None);
        assert_eq!(list(many(5)).has(&v6([0xfd, 0], 1)), None);
    }
}
