//! Packet memory, as the verifier lets it be reached.

use core::arch::asm;

use aya_ebpf::{bindings::xdp_md, helpers::generated::bpf_xdp_get_buff_len, programs::XdpContext};
use balancer_common::{Frame, FrameMut, frame::Word};

/// A packet: each read is checked against the end of its first buffer, which is what the verifier asks for.
#[derive(Clone, Copy)]
pub struct Packet {
    start: usize,
    end: usize,
    /// Null where only the first buffer counts.
    context: *mut xdp_md,
    /// So many bytes were checked to be there; a constant wherever it is asked, so that it costs nothing.
    checked: usize,
}

impl Packet {
    /// The packet between a context's `data` and `data_end`, which are taken for all of it.
    #[inline(always)]
    pub fn new(start: usize, end: usize) -> Self {
        Self {
            start,
            end,
            context: core::ptr::null_mut(),
            checked: 0,
        }
    }

    /// A frame in as many buffers as it came in.
    #[inline(always)]
    pub fn of(ctx: &XdpContext) -> Self {
        Self {
            start: ctx.data(),
            end: ctx.data_end(),
            context: ctx.ctx,
            checked: 0,
        }
    }

    /// Bytes of the first buffer.
    #[inline(always)]
    pub fn length(self) -> usize {
        self.end - self.start
    }

    /// Whether it has more than one buffer.
    #[inline(always)]
    pub fn has_later_buffers(self) -> bool {
        self.length() < self.whole_length()
    }

    /// Bytes of all buffers; asked of frames out of the ordinary only, because it is a call.
    #[inline(always)]
    pub fn whole_length(self) -> usize {
        if self.context.is_null() {
            return self.length();
        }
        // SAFETY: the context is the one that the kernel gave this program.
        unsafe { bpf_xdp_get_buff_len(self.context) as usize }
    }

    /// Whether so many bytes from the start are there, if later buffers count.
    #[inline(always)]
    fn holds_later(self, bytes: usize) -> bool {
        if self.context.is_null() {
            return false;
        }
        // SAFETY: the context is the one that the kernel gave this program.
        let mut skipped = self.start - unsafe { (*self.context).data as usize };
        // SAFETY: does nothing; it keeps the compiler from adding `bytes` to the packet's start first. A length that was
        // turned to this machine's byte order has no bounds for the verifier of Linux 6.12, which takes no such sum.
        unsafe {
            asm!("{0} = {0}", inout(reg) skipped, options(nomem, nostack, preserves_flags));
        }
        skipped + bytes <= self.whole_length()
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
        if offset + size_of::<T>() > self.checked && at + size_of::<T>() > self.end {
            return None;
        }
        // SAFETY: within the packet by the check above or an earlier one, which the verifier repeats. BPF loads have
        // no alignment; `read_unaligned` would be split into single bytes on this target.
        Some(unsafe { *(at as *const T) })
    }

    #[inline(always)]
    fn holds(self, bytes: usize) -> bool {
        bytes <= self.length() || self.holds_later(bytes)
    }

    #[inline(always)]
    fn checked(self, bytes: usize) -> Option<Self> {
        (self.start + bytes <= self.end).then_some(Self {
            checked: bytes,
            ..self
        })
    }

    #[inline(always)]
    fn skip(self, bytes: usize) -> Self {
        let mut start = self.start + bytes;
        // SAFETY: does nothing; it keeps the compiler from computing the same start a second time,
        // of which the verifier would not know that it was checked.
        unsafe { asm!("{0} = {0}", inout(reg) start, options(nomem, nostack, preserves_flags)) };
        Self {
            start,
            checked: 0,
            ..self
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
