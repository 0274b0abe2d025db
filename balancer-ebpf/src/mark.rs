//! The mark by which the XDP side tells the tc program `hand_on` to forward a frame to another backend.
//!
//! The mark is XDP metadata. The kernel carries it from XDP to tc, and drops it when the frame leaves the host.

use aya_ebpf::{
    helpers::generated::bpf_xdp_adjust_meta,
    programs::{TcContext, XdpContext},
};

/// A value that other users of the metadata are unlikely to write.
const MARK: u32 = u32::from_ne_bytes(*b"lbho");

/// Marks the frame. Returns `false` if the driver has no room for metadata.
#[inline(always)]
pub fn put(ctx: &XdpContext) -> bool {
    // SAFETY: `ctx` is the context that the kernel passed in. The helper invalidates packet pointers; they are reloaded below.
    if unsafe { bpf_xdp_adjust_meta(ctx.ctx, -(size_of::<u32>() as i32)) } != 0 {
        return false;
    }
    let (start, end) = (ctx.metadata(), ctx.metadata_end());
    if start + size_of::<u32>() > end {
        return false;
    }
    // SAFETY: the bounds check above, which the verifier verifies, keeps the access within the metadata.
    unsafe { *(start as *mut u32) = MARK };
    true
}

/// Whether the frame is marked.
#[inline(always)]
pub fn is_on(ctx: &TcContext) -> bool {
    // SAFETY: `ctx` is the context that the kernel passed in.
    let (start, end) = unsafe {
        let skb = &*ctx.skb.skb;
        (skb.data_meta as usize, skb.data as usize)
    };
    if start + size_of::<u32>() > end {
        return false;
    }
    // SAFETY: the bounds check above, which the verifier verifies, keeps the access within the metadata.
    unsafe { *(start as *const u32) == MARK }
}
