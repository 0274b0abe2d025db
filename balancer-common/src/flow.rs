//! A flow and its keyed hash.

use crate::Address;

/// A 5-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The client.
    pub source: Address,
    /// The VIP.
    pub destination: Address,
    /// Source port in the low half, destination port in the high half, as loaded from the packet.
    pub ports: u32,
    /// IP protocol number.
    pub protocol: u8,
}

impl Flow {
    /// The destination port in wire order, as loaded from the packet.
    #[inline(always)]
    pub fn destination_port_word(&self) -> u16 {
        (self.ports >> 16) as u16
    }
}

/// The secret key of the flow hash, without which clients cannot choose their slot. All edges of a fleet have the same.
///
/// An offset, one odd multiplier for each of a flow's five words, and the multiplier of the finisher.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKey(pub [u64; 7]);

const _: () = assert!(size_of::<HashKey>() == 56);

/// Access to the key, so that code that needs it only sometimes does not load it.
pub trait Keyed {
    /// The key.
    fn key(&self) -> HashKey;
}

impl Keyed for HashKey {
    #[inline(always)]
    fn key(&self) -> HashKey {
        *self
    }
}

impl HashKey {
    /// Expands 64 secret bits with SplitMix64 (Steele, Lea, Flood: OOPSLA 2014).
    pub const fn expand(secret: u64) -> Self {
        let mut words = [0; 7];
        let mut state = secret;
        let mut i = 0;
        while i < words.len() {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            words[i] = (z ^ (z >> 31)) | 1;
            i += 1;
        }
        Self(words)
    }
}

/// The flow's hash: a multilinear hash (Lemire, Kaser: 2014) of its five words, finished with a
/// multiplication so that every input bit reaches the high bits, which choose the slot.
#[inline(always)]
pub fn hash(flow: &Flow, key: &HashKey) -> u64 {
    let k = &key.0;
    let tail = u64::from(flow.ports) | u64::from(flow.protocol) << 32;
    let sum = of_source(&flow.source, key)
        .wrapping_add(flow.destination.0[0].wrapping_mul(k[3]))
        .wrapping_add(flow.destination.0[1].wrapping_mul(k[4]))
        .wrapping_add(tail.wrapping_mul(k[5]));
    finish(sum, key)
}

/// As [`hash`], of the source address's two words only.
#[inline(always)]
pub fn hash_source(source: &Address, key: &HashKey) -> u64 {
    finish(of_source(source, key), key)
}

#[inline(always)]
fn of_source(source: &Address, key: &HashKey) -> u64 {
    let k = &key.0;
    k[0].wrapping_add(source.0[0].wrapping_mul(k[1]))
        .wrapping_add(source.0[1].wrapping_mul(k[2]))
}

#[inline(always)]
fn finish(sum: u64, key: &HashKey) -> u64 {
    let mixed = (sum ^ (sum >> 32)).wrapping_mul(key.0[6]);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn flow(client: u32, port: u16) -> Flow {
        Flow {
            source: Address::from_ipv4(client.to_be_bytes()),
            destination: Address::from_ipv4([198, 51, 100, 10]),
            ports: u32::from(port.to_be()) | u32::from(8000u16.to_be()) << 16,
            protocol: 6,
        }
    }

    /// Chi-square of 256 slots over flows that differ in one place only; 99.99 % of fair draws stay below 347.
    fn chi_square(flows: impl Iterator<Item = Flow>) -> f64 {
        let key = HashKey::expand(7);
        chi_square_of(flows.map(|flow| hash(&flow, &key)))
    }

    fn chi_square_of(hashes: impl Iterator<Item = u64>) -> f64 {
        let mut slots = [0u32; 256];
        let mut n = 0.0;
        for hash in hashes {
            slots[(hash >> 56) as usize] += 1;
            n += 1.0;
        }
        let fair = n / 256.0;
        slots
            .iter()
            .map(|&s| (f64::from(s) - fair).powi(2) / fair)
            .sum()
    }

    // Promise: E2
    #[test]
    fn flows_that_differ_only_in_the_source_port_spread_evenly() {
        let x = chi_square((1024..=u16::MAX).map(|port| flow(0xc000_0201, port)));
        assert!(x < 347.0, "chi-square {x}");
    }

    // Promise: E2
    #[test]
    fn flows_that_differ_only_in_the_client_spread_evenly() {
        let x = chi_square((0..65_536).map(|i| flow(0x0a00_0000 + i, 40_000)));
        assert!(x < 347.0, "chi-square {x}");
    }

    // Promise: E2
    #[test]
    fn ipv6_clients_spread_evenly() {
        let x = chi_square((0..65_536u32).map(|i| Flow {
            source: Address([0x20 | u64::from(i) << 40, 1 << 56]),
            ..flow(0, 40_000)
        }));
        assert!(x < 347.0, "chi-square {x}");
    }

    #[test]
    fn sources_alone_spread_evenly() {
        let key = HashKey::expand(7);
        let v4 = (0..65_536u32).map(|i| Address::from_ipv4((0x0a00_0000 + i).to_be_bytes()));
        let x = chi_square_of(v4.map(|source| hash_source(&source, &key)));
        assert!(x < 347.0, "chi-square {x}");
        let v6 = (0..65_536u64).map(|i| Address([0x20 | i << 40, 1 << 56]));
        let x = chi_square_of(v6.map(|source| hash_source(&source, &key)));
        assert!(x < 347.0, "chi-square {x}");
    }

    /// Computed apart from this code: edges of any version must agree on it.
    #[test]
    fn known_flows_have_known_hashes() {
        let key = HashKey::expand(0x0123_4567_89ab_cdef);
        let v4 = flow(0xc000_0202, 40_000);
        assert_eq!(hash(&v4, &key), 0x7de1_13d1_3934_4a55);
        let v6 = Flow {
            source: Address::from_ipv6(sample::CLIENT_V6),
            destination: Address::from_ipv6(sample::VIP_V6),
            protocol: 17,
            ..v4
        };
        assert_eq!(hash(&v6, &key), 0x7bb3_3120_4b96_0fc5);
        assert_eq!(hash_source(&v4.source, &key), 0x8d87_2d1c_50b3_6105);
        assert_eq!(hash_source(&v6.source, &key), 0xcca9_dab3_8eed_0618);
    }

    // Promise: E1
    #[test]
    fn another_key_gives_another_hash() {
        let flow = flow(1, 1);
        assert_ne!(
            hash(&flow, &HashKey::expand(1)),
            hash(&flow, &HashKey::expand(2))
        );
    }
}
