//! The Internet checksum (RFC 1071).

/// Folds a sum of 16-bit words in host order and complements it, which gives the value of a checksum field.
///
/// `sum` is of at most 65,536 words, so two folds suffice.
#[inline(always)]
pub fn finish(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}

/// The checksum after one word that it covers has changed from `old` to `new`; all in host order (RFC 1624, equation 3).
#[inline(always)]
pub fn replace(checksum: u16, old: u16, new: u16) -> u16 {
    finish(u32::from(!checksum) + u32::from(!old) + u32::from(new))
}

/// The sum of `bytes` as 16-bit big-endian words. An odd last byte is padded with zero.
pub fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1071 section 3: the words sum to ddf2 after folding.
    #[test]
    fn the_example_of_the_rfc_holds() {
        let words = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(finish(sum(&words)), !0xddf2);
    }

    /// Its section 4: equation 3 gives 0000 where others give ffff.
    // Promise: E14
    #[test]
    fn the_example_of_rfc_1624_holds() {
        assert_eq!(replace(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn two_folds_carry_twice() {
        assert_eq!(finish(0x0001_ffff), !1);
    }
}
