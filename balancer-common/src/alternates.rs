//! The GUE private data that carries alternates.
//!
//! The first word has four bytes: [`VERSION`], the number of alternates (1 to 3), the number of those visited, and flags.
//! The alternates follow as addresses of the outer family. An agent that hands a packet on overwrites the next alternate's
//! address, which becomes the outer destination, with its own. So the packet's length stays the same, and after the first
//! hop the first place has the address of the backend that the edge chose. `hlen` covers the private data and no GUE flag
//! is set, so a receiver that knows only GUE skips it.

/// The most alternates that a packet carries.
pub const MAX_ALTERNATES: usize = 3;

/// Bytes before the first alternate.
pub const HEAD_LENGTH: usize = 4;

/// The first byte. Private data that begins with another value is not ours and is skipped.
const VERSION: u8 = 1;

/// Flag: deliver the packet, whether or not a socket knows its flow.
const FINAL: u8 = 1;
/// Flag: a visited backend has weak evidence of the flow. Its place is in the two bits above this one.
const WEAK: u8 = 2;
/// Shift of those two bits.
const WEAK_PLACE: u8 = 2;

/// Bytes of private data with `count` alternates, each an address of `address_length` bytes.
pub const fn length(count: usize, address_length: usize) -> usize {
    HEAD_LENGTH + count * address_length
}

/// The first word of the private data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of alternates.
    pub count: u8,
    /// Number of alternates that were visited.
    pub visited: u8,
    flags: u8,
}

impl Head {
    /// Stands for a packet without private data of this form.
    pub const NOTHING: Self = Self {
        count: 0,
        visited: 0,
        flags: 0,
    };

    /// The word as an edge sends it.
    #[inline(always)]
    pub fn new(count: u8) -> Self {
        Self {
            count,
            visited: 0,
            flags: 0,
        }
    }

    /// As a word to store.
    #[inline(always)]
    pub fn word(self) -> u32 {
        u32::from_ne_bytes([VERSION, self.count, self.visited, self.flags])
    }

    /// Whether `word`, as loaded, begins private data of this form.
    #[inline(always)]
    pub fn is_ours(word: u32) -> bool {
        word.to_ne_bytes()[0] == VERSION
    }

    /// Parses the first word of `length` bytes of private data. `None` if the word is inconsistent in itself or with
    /// `length`.
    #[inline(always)]
    pub fn parse(word: u32, length: usize, address_length: usize) -> Option<Self> {
        let [_, count, visited, flags] = word.to_ne_bytes();
        let head = Self {
            count,
            visited,
            flags,
        };
        if count == 0 || count as usize > MAX_ALTERNATES || visited > count || flags >= 16 {
            return None;
        }
        if length != HEAD_LENGTH + count as usize * address_length {
            return None;
        }
        match head.weak() {
            Some(place) if place >= visited => None,
            None if flags >> WEAK_PLACE != 0 => None,
            _ => Some(head),
        }
    }

    /// Whether the packet must be delivered, whether or not a socket knows its flow.
    #[inline(always)]
    pub fn is_final(self) -> bool {
        self.flags & FINAL != 0
    }

    /// Whether an agent has handed the packet on.
    #[inline(always)]
    pub fn was_handed_on(self) -> bool {
        self.visited != 0
    }

    /// Whether an alternate is left to visit.
    #[inline(always)]
    pub fn has_more(self) -> bool {
        self.visited < self.count
    }

    /// The place of the first backend with weak evidence of the flow.
    #[inline(always)]
    pub fn weak(self) -> Option<u8> {
        (self.flags & WEAK != 0).then_some(self.flags >> WEAK_PLACE & 3)
    }

    /// The word for the next alternate. `weak`: whether the backend that hands the packet on has weak evidence.
    #[inline(always)]
    pub fn handed_on(self, weak: bool) -> Self {
        let flags = if weak && self.flags & WEAK == 0 {
            self.flags | WEAK | self.visited << WEAK_PLACE
        } else {
            self.flags
        };
        Self {
            visited: self.visited + 1,
            flags,
            ..self
        }
    }

    /// The word for a packet that is sent back to be delivered.
    #[inline(always)]
    pub fn returned(self) -> Self {
        Self {
            flags: self.flags | FINAL,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(head: Head) -> [u8; 4] {
        head.word().to_ne_bytes()
    }

    fn parsed(bytes: [u8; 4], length: usize) -> Option<Head> {
        Head::parse(u32::from_ne_bytes(bytes), length, 4)
    }

    #[test]
    fn a_head_is_read_as_it_was_written() {
        for count in 1..=3 {
            let head = Head::new(count);
            assert_eq!(bytes(head), [1, count, 0, 0]);
            assert_eq!(parsed(bytes(head), 4 + 4 * usize::from(count)), Some(head));
        }
        assert!(!Head::is_ours(u32::from_ne_bytes([0xaa; 4])));
    }

    #[test]
    fn the_first_one_with_weak_evidence_is_remembered() {
        let first = Head::new(3).handed_on(false);
        assert_eq!((bytes(first), first.weak()), ([1, 3, 1, 0], None));
        let second = first.handed_on(true);
        assert_eq!((bytes(second), second.weak()), ([1, 3, 2, 0b0110], Some(1)));
        let third = second.handed_on(true);
        assert_eq!((bytes(third), third.weak()), ([1, 3, 3, 0b0110], Some(1)));
        assert!(!third.has_more() && !third.is_final());
        let back = third.returned();
        assert_eq!((bytes(back), back.is_final()), ([1, 3, 3, 0b0111], true));
        assert_eq!(parsed(bytes(back), 16), Some(back));
    }

    #[test]
    fn a_head_that_contradicts_itself_or_its_length_is_none() {
        for (head, length) in [
            ([1, 0, 0, 0], 4),
            ([1, 4, 0, 0], 20),
            ([1, 255, 0, 0], 124),
            ([1, 2, 3, 0], 12),
            ([1, 1, 0, 0], 4),
            ([1, 1, 0, 0], 12),
            ([1, 3, 0, 0], 12),
            // A flag that there is not, a place without weak evidence, a place that was not visited.
            ([1, 1, 0, 0x10], 8),
            ([1, 3, 2, 0b0100], 16),
            ([1, 3, 1, 0b0110], 16),
        ] {
            assert_eq!(parsed(head, length), None, "{head:?} of {length} bytes");
        }
    }
}
