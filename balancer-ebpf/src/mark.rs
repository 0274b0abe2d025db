//! The mark that `decap` puts in front of a frame which is to go on, for `hand_on` behind it.
//!
//! XDP metadata: the kernel carries it along with the frame, and forgets it when the frame leaves.

use aya_ebpf::{
    helpers::generated::bpf_xdp_adjust_meta,
    programs::{TcContext, XdpContext},
};

/// What no other program would write by chance.
const MARK: u32 = u32::from_ne_bytes(*b"lbho");

/// Marks the frame. `false`: the driver has no room for metadata.
#[inline(always)]
pub fn put(ctx: &XdpContext) -> bool {
    // SAFETY: the context is the one that the kernel gave this program; pointers are read afresh below, as the helper asks.
    if unsafe { bpf_xdp_adjust_meta(ctx.ctx, -(size_of::<u32>() as i32)) } != 0 {
        return false;
    }
    let (start, end) = (ctx.metadata(), ctx.metadata_end());
    if start + size_of::<u32>() > end {
        return false;
    }
    // SAFETY: within the metadata by the check above, which the verifier repeats.
    unsafe { *(start as *mut u32) = MARK };
    true
}

/// Whether the frame is marked.
#[inline(always)]
pub fn is_on(ctx: &TcContext) -> bool {
    // SAFETY: the context is the one that the kernel gave this program.
    let (start, end) = unsafe {
        let skb = &*ctx.skb.skb;
        (skb.data_meta as usize, skb.data as usize)
    };
    if start + size_of::<u32>() > end {
        return false;
    }
    // SAFETY: within the metadata by the check above, which the verifier repeats.
    unsafe { *(start as *const u32) == MARK }
}
