//! IP addresses as the packet path compares and hashes them.

/// An IPv6 address, or an IPv4 address in its IPv4-mapped form (RFC 4291 section 2.5.5.2).
///
/// 16 bytes in wire order, stored as the two words that a load from the packet yields, so that the
/// packet path never swaps bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub [u64; 2]);

const _: () = assert!(size_of::<Address>() == 16);

/// Bytes 8 to 11 of an IPv4-mapped address: `00 00 ff ff`, as a word loaded from memory.
const MAPPED: u64 = 0xffff_0000;

impl Address {
    /// From the four wire-order bytes of an IPv4 address, as a word loaded from the packet.
    #[inline(always)]
    pub fn from_ipv4_word(word: u32) -> Self {
        Self([0, MAPPED | (word as u64) << 32])
    }

    /// From the wire-order bytes of an IPv4 address.
    pub fn from_ipv4(octets: [u8; 4]) -> Self {
        Self::from_ipv4_word(u32::from_ne_bytes(octets))
    }

    /// From the wire-order bytes of an IPv6 address.
    pub fn from_ipv6(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Self([
            u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
        ])
    }

    /// The four wire-order bytes of the contained IPv4 address, as a word to store into a packet.
    #[inline(always)]
    pub fn ipv4_word(self) -> u32 {
        (self.0[1] >> 32) as u32
    }

    /// Whether it is an IPv4 address in IPv4-mapped form.
    #[inline(always)]
    pub fn is_ipv4(self) -> bool {
        self.0[0] == 0 && self.0[1] & 0xffff_ffff == MAPPED
    }

    /// All 16 bytes in wire order.
    pub fn octets(self) -> [u8; 16] {
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&self.0[0].to_ne_bytes());
        octets[8..].copy_from_slice(&self.0[1].to_ne_bytes());
        octets
    }
}

#[cfg(feature = "user")]
impl From<core::net::IpAddr> for Address {
    fn from(address: core::net::IpAddr) -> Self {
        match address {
            core::net::IpAddr::V4(v4) => Self::from_ipv4(v4.octets()),
            core::net::IpAddr::V6(v6) => Self::from_ipv6(v6.octets()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_is_held_in_its_mapped_form() {
        let mapped = Address::from_ipv4([198, 51, 100, 10]);
        assert_eq!(
            mapped.octets(),
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 10]
        );
        assert_eq!(mapped.ipv4_word().to_ne_bytes(), [198, 51, 100, 10]);
        assert_eq!(Address::from_ipv6(mapped.octets()), mapped);
        assert!(mapped.is_ipv4());
    }

    #[test]
    fn an_ipv6_address_is_no_ipv4_address() {
        let mapped = Address::from_ipv4([198, 51, 100, 10]).octets();
        for at in 0..12 {
            let mut octets = mapped;
            octets[at] ^= 1;
            assert!(!Address::from_ipv6(octets).is_ipv4(), "{octets:02x?}");
        }
    }
}
