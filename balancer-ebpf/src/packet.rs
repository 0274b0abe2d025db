//! Packet memory, as the verifier lets it be reached.

use core::arch::asm;

use balancer_common::{Frame, FrameMut, frame::Word};

/// A packet: each read is checked against its end, which is what the verifier asks for.
#[derive(Clone, Copy)]
pub struct Packet {
    start: usize,
    end: usize,
}

impl Packet {
    /// The packet between a context's `data` and `data_end`.
    #[inline(always)]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Where its first `LENGTH` bytes are, for a helper to read.
    #[inline(always)]
    pub fn bytes<const LENGTH: usize>(self) -> Option<usize> {
        (self.start + LENGTH <= self.end).then_some(self.start)
    }

    /// Its first `LENGTH` bytes, to write.
    #[inline(always)]
    pub fn head<const LENGTH: usize>(self) -> Option<Head> {
        (self.start + LENGTH <= self.end).then_some(Head { start: self.start })
    }
}

impl Frame for Packet {
    #[inline(always)]
    fn read<T: Word>(self, offset: usize) -> Option<T> {
        let at = self.start + offset;
        if at + size_of::<T>() > self.end {
            return None;
        }
        // SAFETY: within the packet by the check above, which the verifier repeats. BPF loads have
        // no alignment; `read_unaligned` would be split into single bytes on this target.
        Some(unsafe { *(at as *const T) })
    }

    #[inline(always)]
    fn length(self) -> usize {
        self.end - self.start
    }

    #[inline(always)]
    fn skip(self, bytes: usize) -> Self {
        let mut start = self.start + bytes;
        // SAFETY: does nothing; it keeps the compiler from computing the same start a second time,
        // of which the verifier would not know that it was checked.
        unsafe { asm!("{0} = {0}", inout(reg) start, options(nomem, nostack, preserves_flags)) };
        Self {
            start,
            end: self.end,
        }
    }
}

/// Bytes of a packet that were checked to be there.
pub struct Head {
    start: usize,
}

impl FrameMut for Head {
    #[inline(always)]
    fn write<T: Word>(&mut self, offset: usize, word: T) {
        // SAFETY: callers write within the bytes that `head` checked, and the verifier refuses the
        // program otherwise. BPF stores have no alignment.
        unsafe { *((self.start + offset) as *mut T) = word }
    }
}
