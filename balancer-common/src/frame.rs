//! Access to a frame's bytes: packet memory in the kernel, a slice in user space.

/// The integer types in which frames are read and written.
pub trait Word: Copy + sealed::Sealed {
    /// From bytes in memory order; `bytes` is as long as the word.
    fn from_memory(bytes: &[u8]) -> Self;
    /// Into memory order.
    fn to_memory(self, bytes: &mut [u8]);
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! words {
    ($($word:ty),*) => { $(
        impl sealed::Sealed for $word {}
        impl Word for $word {
            fn from_memory(bytes: &[u8]) -> Self {
                let mut memory = [0; size_of::<$word>()];
                memory.copy_from_slice(bytes);
                <$word>::from_ne_bytes(memory)
            }
            fn to_memory(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_ne_bytes());
            }
        }
    )* };
}

words!(u8, u16, u32, u64);

/// A readable frame, or the rest of one from some offset on. A word is returned as it is in memory: wire order in
/// a host integer, without a byte swap.
pub trait Frame: Copy {
    /// The word at `offset` bytes from the start. `None` past the end of the first buffer.
    fn read<T: Word>(self, offset: usize) -> Option<T>;

    /// Whether the frame has `bytes` bytes from its start. Bytes in frags count, although they cannot be read.
    fn holds(self, bytes: usize) -> bool;

    /// The same frame, if its first `bytes` can be read: one bounds check for all reads within them.
    fn checked(self, bytes: usize) -> Option<Self>;

    /// The frame without its first `bytes`; empty if it has fewer. Use it for any offset that comes from the packet:
    /// the verifier tracks one pointer with a variable offset, but not that two computed pointers are equal.
    fn skip(self, bytes: usize) -> Self;
}

/// A part of a frame that is known to be writable.
pub trait FrameMut {
    /// Stores `word` at `offset` bytes from the part's start. The word must be within the part.
    fn write<T: Word>(&mut self, offset: usize, word: T);
}

/// Swaps the two MAC addresses, given as the first twelve bytes of the frame, so that it returns to its sender.
#[inline(always)]
pub fn swap_macs((first, second): (u64, u32)) -> (u64, u32) {
    let own = first & 0xffff_ffff_ffff;
    let sender = first >> 48 | (second as u64) << 16;
    (sender | own << 48, (own >> 16) as u32)
}

impl Frame for &[u8] {
    fn read<T: Word>(self, offset: usize) -> Option<T> {
        let bytes = self.get(offset..offset.checked_add(size_of::<T>())?)?;
        Some(T::from_memory(bytes))
    }

    fn holds(self, bytes: usize) -> bool {
        bytes <= self.len()
    }

    fn checked(self, bytes: usize) -> Option<Self> {
        (bytes <= self.len()).then_some(self)
    }

    fn skip(self, bytes: usize) -> Self {
        self.get(bytes..).unwrap_or_default()
    }
}

/// A frame with XDP frags: only its first buffer can be read.
#[derive(Clone, Copy, Debug)]
pub struct WithFrags<'a> {
    /// The bytes of the first buffer.
    pub first: &'a [u8],
    /// Number of bytes in the frags.
    pub frags: usize,
}

impl Frame for WithFrags<'_> {
    fn read<T: Word>(self, offset: usize) -> Option<T> {
        self.first.read(offset)
    }

    fn holds(self, bytes: usize) -> bool {
        bytes <= self.first.len() + self.frags
    }

    fn checked(self, bytes: usize) -> Option<Self> {
        (bytes <= self.first.len()).then_some(self)
    }

    fn skip(self, bytes: usize) -> Self {
        let first = self.first.skip(bytes);
        let beyond = bytes.saturating_sub(self.first.len());
        let frags = self.frags.saturating_sub(beyond);
        Self { first, frags }
    }
}

impl FrameMut for [u8] {
    fn write<T: Word>(&mut self, offset: usize, word: T) {
        word.to_memory(&mut self[offset..offset + size_of::<T>()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_macs_change_places() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let frame: &[u8] = &bytes;
        let (first, second) = swap_macs((frame.read(0).unwrap(), frame.read(8).unwrap()));
        let mut back = [0; 12];
        back[..].write(0, first);
        back[..].write(8, second);
        assert_eq!(back, [7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6]);
    }

    // Promise: E8
    #[test]
    fn a_read_past_the_end_is_none() {
        let frame: &[u8] = &[1, 2, 3];
        assert_eq!(frame.read::<u16>(1), Some(u16::from_ne_bytes([2, 3])));
        assert_eq!(frame.read::<u16>(2), None);
        assert_eq!(frame.read::<u8>(usize::MAX), None);
        assert_eq!(frame.skip(2).read::<u8>(0), Some(3));
        assert!(frame.holds(3) && !frame.holds(4));
        assert!(frame.checked(3).is_some() && frame.checked(4).is_none());
        assert!(frame.skip(4).holds(0) && !frame.skip(4).holds(1));
    }

    #[test]
    fn frags_count_but_cannot_be_read() {
        let frame = WithFrags {
            first: &[1, 2, 3],
            frags: 2,
        };
        assert_eq!(frame.skip(1).read::<u8>(1), Some(3));
        assert_eq!(frame.skip(1).read::<u8>(2), None);
        assert!(frame.skip(1).holds(4) && !frame.skip(1).holds(5));
        assert!(frame.checked(3).is_some() && frame.checked(4).is_none());
        assert!(frame.skip(4).holds(1) && !frame.skip(4).holds(2));
    }
}
