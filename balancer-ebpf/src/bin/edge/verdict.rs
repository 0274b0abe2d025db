//! The verdict on a packet that is not forwarded: counts it, and logs it if `debug_packets` is set.

use aya_ebpf::{bindings::xdp_action, programs::XdpContext};
use aya_log_ebpf::info;
use balancer_common::{Reason, abi::program, reason::Verdict};
use balancer_ebpf::{counter::count_reason, tail_call::tail_call};

use crate::maps::{DEBUG_PACKETS, PROGRAMS, REASONS};

/// Gives the verdict for `reason`, after a try at telling the sender if the packet is too large. The packet must be unchanged.
#[inline(always)]
pub(crate) fn refuse(ctx: &XdpContext, reason: Reason, bytes: u64) -> u32 {
    if reason == Reason::TooLarge {
        tail_call::<{ program::TOO_LARGE }>(ctx, &PROGRAMS);
    }
    conclude(ctx, reason, bytes)
}

/// Counts the packet and returns the verdict for `reason`.
#[inline(always)]
pub(crate) fn conclude(ctx: &XdpContext, reason: Reason, bytes: u64) -> u32 {
    let packets = count_reason(&REASONS, reason, bytes);
    match reason.verdict() {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Answer => xdp_action::XDP_TX,
        Verdict::Drop => {
            if DEBUG_PACKETS.load() != 0 && packets & (packets - 1) == 0 {
                info!(
                    ctx,
                    "dropped: reason {} ({} bytes, {} packets so far)",
                    reason as u32,
                    bytes,
                    packets
                );
            }
            xdp_action::XDP_DROP
        }
    }
}
