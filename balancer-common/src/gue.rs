//! Generic UDP encapsulation, variant 0 (draft-ietf-intarea-gue-09): the header between UDP and the inner packet.
//!
//! Byte 0: variant (2 bits), control bit, `hlen` (5 bits: length of what follows the base header, in
//! 32-bit words). Byte 1: IP protocol of the inner packet. Bytes 2 and 3: flags. An edge sets no flags,
//! so `hlen` covers only private data, which other receivers skip: [`crate::alternates`], if any.

use crate::alternates;

/// The UDP port of GUE (IANA).
pub const PORT: u16 = 6080;

/// Bytes of the base header.
pub const BASE_LENGTH: usize = 4;

/// Bytes of the longest header that an edge sends: with three alternates of `address_length` bytes each.
pub const fn longest(address_length: usize) -> usize {
    BASE_LENGTH + alternates::length(alternates::MAX_ALTERNATES, address_length)
}

/// The base header, as a word to store. `private`: bytes of private data, a multiple of 4.
#[inline(always)]
pub fn base(inner_protocol: u8, private: usize) -> u32 {
    u32::from_ne_bytes([(private / 4) as u8, inner_protocol, 0, 0])
}

/// Parses the base header: (inner protocol, bytes of the whole header). `None` for another variant, a
/// control message, or flags, none of which an edge sends.
#[inline(always)]
pub fn parse(base: u32) -> Option<(u8, usize)> {
    let [first, protocol, flags_high, flags_low] = base.to_ne_bytes();
    if first & 0xe0 != 0 || flags_high != 0 || flags_low != 0 {
        return None;
    }
    Some((protocol, BASE_LENGTH + (first & 0x1f) as usize * 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: A2
    #[test]
    fn a_header_is_read_as_it_was_written() {
        assert_eq!(parse(base(4, 0)), Some((4, 4)));
        assert_eq!(parse(base(41, 16)), Some((41, 20)));
        assert_eq!(parse(u32::from_ne_bytes([0x1f, 41, 0, 0])), Some((41, 128)));
    }

    // Promise: A2
    #[test]
    fn other_variants_control_messages_and_flags_are_refused() {
        for bytes in [
            [0x40, 4, 0, 0],
            [0x20, 4, 0, 0],
            [0, 4, 0x80, 0],
            [0, 4, 0, 1],
        ] {
            assert_eq!(parse(u32::from_ne_bytes(bytes)), None, "{bytes:02x?}");
        }
    }

    // Promise: A2
    #[test]
    fn the_longest_header_fits_what_hlen_can_say() {
        assert!(longest(16) <= BASE_LENGTH + 31 * 4);
    }
}
