//! Packet memory, accessed in the way that the verifier accepts.

use core::arch::asm;

use aya_ebpf::{bindings::xdp_md, helpers::generated::bpf_xdp_get_buff_len, programs::XdpContext};
use balancer_common::{Frame, FrameMut, frame::Word};

/// A packet. Each read is checked against the end of the first buffer, as the verifier requires.
#[derive(Clone, Copy)]
pub struct Packet {
    start: usize,
    end: usize,
    /// Null if only the first buffer is considered.
    context: *mut xdp_md,
    /// Bytes from the start that are known to be readable. A constant at every use, so it costs nothing at run time.
    checked: usize,
}

impl Packet {
    /// The packet between a context's `data` and `data_end`. Frags are ignored.
    #[inline(always)]
    pub fn new(start: usize, end: usize) -> Self {
        Self {
            start,
            end,
            context: core::ptr::null_mut(),
            checked: 0,
        }
    }

    /// The packet of an XDP context, with all its frags.
    #[inline(always)]
    pub fn of(ctx: &XdpContext) -> Self {
        Self {
            start: ctx.data(),
            end: ctx.data_end(),
            context: ctx.ctx,
            checked: 0,
        }
    }

    /// Bytes in the first buffer.
    #[inline(always)]
    pub fn length(self) -> usize {
        self.end - self.start
    }

    /// Whether the packet has frags: buffers behind the first one.
    #[inline(always)]
    pub fn has_frags(self) -> bool {
        self.length() < self.whole_length()
    }

    /// Bytes in the first buffer and all frags. Costs a helper call, so only the slow path uses it.
    #[inline(always)]
    pub fn whole_length(self) -> usize {
        if self.context.is_null() {
            return self.length();
        }
        // SAFETY: `context` is the context that the kernel passed in.
        unsafe { bpf_xdp_get_buff_len(self.context) as usize }
    }

    /// Whether the packet has `bytes` bytes from its start, frags included.
    #[inline(always)]
    fn holds_in_frags(self, bytes: usize) -> bool {
        if self.context.is_null() {
            return false;
        }
        // SAFETY: `context` is the context that the kernel passed in.
        let mut skipped = self.start - unsafe { (*self.context).data as usize };
        // SAFETY: an empty barrier. Without it the compiler may add `bytes` to the packet pointer first. The verifier of
        // Linux 6.12 does not track bounds through a byte swap, so it rejects that sum if `bytes` was read from the packet.
        unsafe {
            asm!("{0} = {0}", inout(reg) skipped, options(nomem, nostack, preserves_flags));
        }
        skipped + bytes <= self.whole_length()
    }

    /// The address of the first `LENGTH` bytes, for a helper to read.
    #[inline(always)]
    pub fn bytes<const LENGTH: usize>(self) -> Option<usize> {
        (self.start + LENGTH <= self.end).then_some(self.start)
    }

    /// The first `LENGTH` bytes, for writing.
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
        // SAFETY: the bounds check above, or an earlier one (`checked`), keeps the load within the packet; the verifier
        // verifies it. BPF loads need no alignment. `read_unaligned` would compile to single-byte loads on this target.
        Some(unsafe { *(at as *const T) })
    }

    #[inline(always)]
    fn holds(self, bytes: usize) -> bool {
        bytes <= self.length() || self.holds_in_frags(bytes)
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
        // SAFETY: an empty barrier. Without it the compiler may compute the same pointer a second time, and the verifier
        // would not know that the second copy was bounds-checked.
        unsafe { asm!("{0} = {0}", inout(reg) start, options(nomem, nostack, preserves_flags)) };
        Self {
            start,
            checked: 0,
            ..self
        }
    }
}

/// Bytes at a packet's start that are known to be writable.
pub struct Head {
    start: usize,
}

impl FrameMut for Head {
    #[inline(always)]
    fn write<T: Word>(&mut self, offset: usize, word: T) {
        // SAFETY: callers write within the bytes that `head` checked; otherwise the verifier rejects the
        // program. BPF stores need no alignment.
        unsafe { *((self.start + offset) as *mut T) = word }
    }
}
