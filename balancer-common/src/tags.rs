//! VLAN tags (IEEE 802.1Q, 802.1ad) between the Ethernet addresses and the type of what follows.

use network_types::eth::EtherType;

use crate::{Frame, FrameMut};

/// Bytes of one tag.
const LENGTH: usize = 4;

/// Bytes of the most tags that are looked behind: two.
pub const LONGEST: usize = 2 * LENGTH;

/// The tags of a frame, as they stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tags {
    words: [u32; 2],
    /// Bytes of them: 0, 4 or 8.
    pub length: usize,
}

impl Tags {
    /// No tag.
    pub const NONE: Self = Self {
        words: [0; 2],
        length: 0,
    };

    /// Reads up to two tags. The frame without so many bytes reads like one that never had them, but for its addresses.
    #[inline(always)]
    pub fn read<F: Frame>(frame: F) -> Self {
        let mut tags = Self::NONE;
        if is_tagged(frame, 0)
            && let Some(word) = frame.read(12)
        {
            tags.words[0] = word;
            tags.length = LENGTH;
            if is_tagged(frame, LENGTH)
                && let Some(word) = frame.read(12 + LENGTH)
            {
                tags.words[1] = word;
                tags.length = LONGEST;
            }
        }
        tags
    }

    /// Puts Ethernet's addresses, two words of them, and the tags in front of what was written as if the frame began
    /// [`Self::length`] bytes later. `frame` has at least 12 + [`LONGEST`] bytes.
    #[inline(always)]
    pub fn write<M: FrameMut + ?Sized>(&self, frame: &mut M, (first, second): (u64, u32)) {
        frame.write(0, first);
        frame.write(8, second);
        if self.length != 0 {
            frame.write(12, self.words[0]);
        }
        if self.length == LONGEST {
            frame.write(12 + LENGTH, self.words[1]);
        }
    }

    /// What is left of them when the frame leaves: a tag means something on the wire that it came by, and nothing on another.
    #[inline(always)]
    pub fn leaving_by(self, egress: u32, ingress: u32) -> Self {
        if egress == ingress { self } else { Self::NONE }
    }
}

/// Whether a tag stands behind the addresses and `at` bytes of tags.
#[inline(always)]
pub fn is_tagged<F: Frame>(frame: F, at: usize) -> bool {
    frame.read(12 + at).is_some_and(|ether_type: u16| {
        ether_type == EtherType::Ieee8021q as u16 || ether_type == EtherType::Ieee8021ad as u16
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn tagged(tags: &[u8]) -> Vec<u8> {
        let mut frame = sample::tcp_v4();
        frame.splice(12..12, tags.iter().copied());
        frame
    }

    #[test]
    fn up_to_two_tags_of_either_kind_are_read() {
        let length = |tags: &[u8]| Tags::read(&tagged(tags)[..]).length;
        assert_eq!(length(&[]), 0);
        assert_eq!(length(&[0x81, 0, 0, 7]), 4);
        assert_eq!(length(&[0x88, 0xa8, 0xe0, 7]), 4);
        assert_eq!(length(&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8]), 8);
        assert_eq!(length(&[0x81, 0, 0, 7, 0x81, 0, 0, 8]), 8);
        assert_eq!(length(&[0x81, 0, 0, 7, 0x81, 0, 0, 8, 0x81, 0, 0, 9]), 8);
        assert_eq!(length(&[0x91, 0, 0, 7]), 0);
    }

    #[test]
    fn a_tag_that_is_cut_off_is_none() {
        let frame = tagged(&[0x81, 0, 0, 7, 0x81, 0, 0, 8]);
        assert_eq!(Tags::read(&frame[..15]).length, 0);
        assert_eq!(Tags::read(&frame[..16]).length, 4);
        assert_eq!(Tags::read(&frame[..19]).length, 4);
    }
}
