//! VLAN tags (IEEE 802.1Q, 802.1ad) between the Ethernet addresses and the EtherType.

use network_types::eth::EtherType;

use crate::{
    Frame, FrameMut,
    abi::{Backend, outer},
};

/// Bytes of one tag.
const LENGTH: usize = 4;

/// Bytes of the most tags that are parsed: two.
pub const LONGEST: usize = 2 * LENGTH;

/// The tags of a frame, as loaded from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tags {
    words: [u32; 2],
    /// Their length in bytes: 0, 4 or 8.
    pub length: usize,
}

impl Tags {
    /// No tag.
    pub const NONE: Self = Self {
        words: [0; 2],
        length: 0,
    };

    /// Reads up to two tags. Behind [`Self::length`] bytes, the frame reads like an untagged one, except for its addresses.
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

    /// The tags that a backend's record demands, whatever tags the frame arrived with. `None` if it demands none.
    #[inline(always)]
    pub fn of(backend: &Backend) -> Option<Self> {
        if backend.outer & outer::TAGGED == 0 {
            return None;
        }
        let control = (backend.macs[1] >> 32) as u32;
        let first = protocol(backend, outer::FIRST_AD) | control << 16;
        if backend.outer & outer::TWICE == 0 {
            return Some(Self {
                words: [first, 0],
                length: LENGTH,
            });
        }
        let second = protocol(backend, outer::SECOND_AD) | control & 0xffff_0000;
        Some(Self {
            words: [first, second],
            length: LONGEST,
        })
    }

    /// Writes the Ethernet addresses (two words) and the tags at the start of `frame`. Everything else was written as if the
    /// frame began [`Self::length`] bytes later. `frame` has at least 12 + [`LONGEST`] bytes.
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

    /// The tags that stay when the frame leaves by `egress`: all or none, because a tag is valid on its ingress wire only.
    #[inline(always)]
    pub fn leaving_by(self, egress: u32, ingress: u32) -> Self {
        if egress == ingress { self } else { Self::NONE }
    }
}

/// The TPID of a tag, as loaded from a frame.
#[inline(always)]
fn protocol(backend: &Backend, of_ad: u8) -> u32 {
    if backend.outer & of_ad == 0 {
        EtherType::Ieee8021q as u32
    } else {
        EtherType::Ieee8021ad as u32
    }
}

/// Whether a tag follows the Ethernet addresses and `at` bytes of tags.
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

    // Promise: E12
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
    fn a_record_gives_back_the_tags_that_it_was_given() {
        let plain = Backend::new(outer::GUE_IPV4, Default::default(), Default::default());
        let plain = plain.via(3, [1; 6], [2; 6], 1_500);
        assert_eq!(plain.tagged([None; 2]), plain);
        assert_eq!(Tags::of(&plain), None);
        for tags in [
            &[0x81, 0, 0x2a, 0xbc][..],
            &[0x88, 0xa8, 0, 7],
            &[0x88, 0xa8, 0x0f, 0xfe, 0x81, 0, 0xe0, 8],
            &[0x81, 0, 0, 1, 0x88, 0xa8, 0, 2],
        ] {
            let given = |at: usize| tags.get(at..at + 4).map(|tag| tag.try_into().unwrap());
            let record = plain.tagged([given(0), given(4)]);
            assert_eq!(record.kind(), outer::GUE_IPV4);
            assert_ne!(record.outer, outer::GUE_IPV4);
            assert_eq!(record.outer_length(), plain.outer_length());
            let mut frame = [0_u8; 24];
            let [first, second] = record.macs;
            let leave = Tags::of(&record).expect("tags");
            leave.write(&mut frame[..], (first, second as u32));
            assert_eq!(frame[..12], [[1; 6], [2; 6]].concat());
            assert_eq!(frame[12..][..leave.length], *tags);
        }
    }

    #[test]
    fn a_tag_that_is_cut_off_is_none() {
        let frame = tagged(&[0x81, 0, 0, 7, 0x81, 0, 0, 8]);
        assert_eq!(Tags::read(&frame[..15]).length, 0);
        assert_eq!(Tags::read(&frame[..16]).length, 4);
        assert_eq!(Tags::read(&frame[..19]).length, 4);
    }
}
