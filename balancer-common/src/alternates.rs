//! The private data of GUE in which alternates travel.
//!
//! One word, its bytes: [`VERSION`], how many alternates there are (1 to 3), how many of them were visited, flags.
//! Behind it the alternates, addresses of the outer family. An agent that hands a packet on writes its own address over
//! the alternate that it sends it to, so that the packet's length stays, and the first place names whom the edge chose.
//! `hlen` covers all of it and there are no GUE flags: a receiver that knows only GUE skips it.

/// The most alternates that travel.
pub const MOST: usize = 3;

/// Bytes in front of the alternates.
pub const HEAD_LENGTH: usize = 4;

/// The first byte; private data that begins with another one is not ours, and skipped.
const VERSION: u8 = 1;

/// Deliver it, whatever you know of its flow.
const FINAL: u8 = 1;
/// Somebody who was visited has weak evidence of the flow; its place is in the two bits above.
const WEAK: u8 = 2;
/// Where the two bits stand.
const WEAK_PLACE: u8 = 2;

/// Bytes of private data with so many alternates, each an address of `address_length` bytes.
pub const fn length(count: usize, address_length: usize) -> usize {
    HEAD_LENGTH + count * address_length
}

/// The first word of the private data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many alternates there are.
    pub count: u8,
    /// How many of them were visited.
    pub visited: u8,
    flags: u8,
}

impl Head {
    /// No private data of this form.
    pub const NOTHING: Self = Self {
        count: 0,
        visited: 0,
        flags: 0,
    };

    /// As an edge sends it.
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

    /// Whether a first word, as loaded, begins private data of this form.
    #[inline(always)]
    pub fn is_ours(word: u32) -> bool {
        word.to_ne_bytes()[0] == VERSION
    }

    /// Takes the first word apart; `length` is that of the private data. `None` when the word contradicts itself or the
    /// length.
    #[inline(always)]
    pub fn parse(word: u32, length: usize, address_length: usize) -> Option<Self> {
        let [_, count, visited, flags] = word.to_ne_bytes();
        let head = Self {
            count,
            visited,
            flags,
        };
        if count == 0 || count as usize > MOST || visited > count || flags >= 16 {
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

    /// Whether it is to be delivered, whatever is known of its flow.
    #[inline(always)]
    pub fn is_final(self) -> bool {
        self.flags & FINAL != 0
    }

    /// Whether an agent has handed it on.
    #[inline(always)]
    pub fn was_handed_on(self) -> bool {
        self.visited != 0
    }

    /// Whether an alternate is left.
    #[inline(always)]
    pub fn has_more(self) -> bool {
        self.visited < self.count
    }

    /// The place of the first one who has weak evidence of the flow.
    #[inline(always)]
    pub fn weak(self) -> Option<u8> {
        (self.flags & WEAK != 0).then_some(self.flags >> WEAK_PLACE & 3)
    }

    /// As it goes to the next alternate; `weak` says whether the sender has weak evidence.
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

    /// As it goes back, to be delivered.
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
