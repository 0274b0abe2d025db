//! Going on to another program.

use core::arch::asm;

use aya_ebpf::{maps::ProgramArray, programs::XdpContext};

/// Goes on to the program at `PLACE`, and comes back only if there is none.
///
/// LLVM would merge all sites into one with a variable index, which the kernel can't turn into a jump: so it gets one
/// piece of assembly a site, with a constant.
#[inline(always)]
pub fn call<const PLACE: u32>(ctx: &XdpContext, programs: &ProgramArray) {
    // SAFETY: helper 12 is `bpf_tail_call(context, map, index)`; the context is the one that the kernel gave this program,
    // and everything that a helper may change is named.
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
