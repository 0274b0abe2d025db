//! The directory: which services a destination address has, in one cache line.
//!
//! An address has one line. It answers "this service", "a VIP, but not this port" and "no VIP" with one array look-up,
//! where hash maps need two look-ups that cost ten times as much. A line that should hold more than it can is marked
//! full, and then the hash maps are asked about the addresses of that line: any number of services is right, and those
//! of full lines cost what they cost without a directory.
//!
//! A line is read while it is written. Each change of an entry is a change of one aligned word: its service is there
//! before its key is, and its key goes before its service.

use crate::{
    Address,
    abi::{Service, ServiceKey},
};

/// Lines of each address family; a power of two. With 4,096 IPv4 services on VIPs of their own about 15 are full.
pub const LINES: u32 = 4_096;

/// The number of all lines: those of IPv4 first.
pub const ALL_LINES: u32 = 2 * LINES;

/// Services of IPv4 VIPs that a line holds.
pub const OF_IPV4: usize = 4;

/// Services of IPv6 VIPs that a line holds.
pub const OF_IPV6: usize = 2;

/// A line of 64 bytes. Of IPv4: four keys, then their services. Of IPv6: two keys of three words, then their services.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line(pub [u64; 8]);

const _: () = assert!(size_of::<Line>() == 64);

/// The first word of a line that is full.
const FULL: u64 = u64::MAX;

/// Odd, and without a pattern: the golden ratio and a prime's square root, as SplitMix64 has them.
const SPREAD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9];

/// What a line knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<T> {
    /// It is there.
    Here(T),
    /// It is not there.
    Nowhere,
    /// The line is full: the hash maps know.
    Elsewhere,
}

/// The line of an address.
#[inline(always)]
pub fn line_of(address: &Address) -> u32 {
    let shift = 64 - LINES.trailing_zeros();
    if address.is_ipv4() {
        (u64::from(address.ipv4_word()).wrapping_mul(SPREAD[0]) >> shift) as u32
    } else {
        let [high, low] = address.0;
        let mixed = high.wrapping_mul(SPREAD[0]) ^ low.wrapping_mul(SPREAD[1]);
        LINES + (mixed.wrapping_mul(SPREAD[0]) >> shift) as u32
    }
}

/// What is compared of a key to an IPv4 address: never 0, as no protocol is.
#[inline(always)]
fn ipv4_key(key: &ServiceKey) -> u64 {
    u64::from(key.vip.ipv4_word()) | key.port_and_protocol << 32
}

impl Service {
    /// From one word of a line: the table, and the shift in the upper half.
    #[inline(always)]
    fn of_word(word: u64) -> Self {
        Self {
            table: word as u32,
            shift: (word >> 32) as u32,
        }
    }
}

impl Line {
    /// A line without services.
    pub const EMPTY: Self = Self([0; 8]);

    /// Whether the line's address is a VIP.
    #[inline(always)]
    pub fn vip(&self, address: &Address) -> Known<()> {
        let words = &self.0;
        if words[0] == FULL {
            return Known::Elsewhere;
        }
        let there = if address.is_ipv4() {
            let word = address.ipv4_word();
            let is = |key: u64| key != 0 && key as u32 == word;
            is(words[0]) || is(words[1]) || is(words[2]) || is(words[3])
        } else {
            let [high, low] = address.0;
            (words[0] != 0 && words[1] == high && words[2] == low)
                || (words[3] != 0 && words[4] == high && words[5] == low)
        };
        match there {
            true => Known::Here(()),
            false => Known::Nowhere,
        }
    }

    /// The service of a key.
    #[inline(always)]
    pub fn service(&self, key: &ServiceKey) -> Known<Service> {
        let words = &self.0;
        if words[0] == FULL {
            return Known::Elsewhere;
        }
        let word = if key.vip.is_ipv4() {
            let wanted = ipv4_key(key);
            if words[0] == wanted {
                words[4]
            } else if words[1] == wanted {
                words[5]
            } else if words[2] == wanted {
                words[6]
            } else if words[3] == wanted {
                words[7]
            } else {
                return Known::Nowhere;
            }
        } else {
            let ([high, low], port) = (key.vip.0, key.port_and_protocol);
            if words[0] == port && words[1] == high && words[2] == low {
                words[6]
            } else if words[3] == port && words[4] == high && words[5] == low {
                words[7]
            } else {
                return Known::Nowhere;
            }
        };
        Known::Here(Service::of_word(word))
    }
}

#[cfg(feature = "user")]
mod writing;

#[cfg(test)]
mod tests;
