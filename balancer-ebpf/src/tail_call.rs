//! Tail calls.

use core::arch::asm;

use aya_ebpf::{maps::ProgramArray, programs::XdpContext};

/// Tail-calls the program at index `PLACE`. Returns only if there is none.
///
/// Each call site is inline assembly with a constant index. LLVM would merge calls of the helper into one site with a
/// variable index, and the kernel can patch a direct jump in only for a constant one.
#[inline(always)]
pub fn tail_call<const PLACE: u32>(ctx: &XdpContext, programs: &ProgramArray) {
    // SAFETY: helper 12 is `bpf_tail_call(context, map, index)`. `ctx` is the context that the kernel passed in, and all
    // registers that a helper may clobber are declared.
    unsafe {
        asm!(
            "r3 = {place}",
            "call 12",
            place = const PLACE,
            inlateout("r1") ctx.ctx => _,
            inlateout("r2") core::ptr::from_ref(programs) => _,
            lateout("r0") _,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
}
