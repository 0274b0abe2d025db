//! The program `too_large`: sends ICMP "fragmentation needed" or "packet too big" to clients whose packets do not fit.

use aya_ebpf::{
    helpers::generated::{
        bpf_csum_diff, bpf_ktime_get_coarse_ns, bpf_xdp_adjust_head, bpf_xdp_adjust_tail,
    },
    macros::xdp,
    programs::XdpContext,
};
use balancer_common::{
    Frame as _, Reason,
    frame::swap_macs,
    tags::{self, Tags},
    too_large::{self, Notice, QUOTE},
};
use balancer_ebpf::packet::Packet;

use crate::{
    maps::{HASH_KEY, Maps, TOLD},
    verdict::conclude,
};

/// Turns the packet into an ICMP error about itself, if its sender may be told and the rate limit allows it.
#[xdp(frags)]
pub fn too_large(ctx: XdpContext) -> u32 {
    let packet = Packet::of(&ctx);
    let bytes = packet.whole_length();
    let tags = Tags::read(packet);
    let reason = match too_large::notice(packet, &tags, &Maps, &HASH_KEY.load()) {
        Ok(notice) => match packet.read(0).zip(packet.read(8)) {
            Some(addresses) if is_allowed() => {
                let swapped = swap_macs(addresses);
                if notice.ipv4 {
                    tell::<{ Notice::IPV4 }>(&ctx, bytes, swapped, &tags, &notice)
                } else {
                    tell::<{ Notice::IPV6 }>(&ctx, bytes, swapped, &tags, &notice)
                }
            }
            _ => Reason::TooLarge,
        },
        Err(reason) => reason,
    };
    conclude(&ctx, reason, bytes as u64)
}

/// `bytes`: length of the frame. `HEAD`: bytes in front of the quote in the message, without tags.
#[inline(always)]
fn tell<const HEAD: usize>(
    ctx: &XdpContext,
    bytes: usize,
    addresses: (u64, u32),
    tags: &Tags,
    notice: &Notice,
) -> Reason {
    let surplus = bytes as i32 - (14 + tags.length + QUOTE) as i32;
    // SAFETY: `ctx` is the context that the kernel passed in. The helpers invalidate packet pointers; they
    // are reloaded below.
    if unsafe { bpf_xdp_adjust_tail(ctx.ctx, -surplus) } != 0
        || unsafe { bpf_xdp_adjust_head(ctx.ctx, -(HEAD as i32 - 14)) } != 0
    {
        return Reason::NoHeadroom;
    }
    let packet = Packet::of(ctx);
    let behind = packet.skip(tags.length);
    let Some(quote) = behind.skip(HEAD).bytes::<QUOTE>() else {
        return Reason::BadTotalLength;
    };
    // SAFETY: `bytes` checked that the quote, with this length, is within the packet.
    let sum = unsafe {
        bpf_csum_diff(
            core::ptr::null_mut(),
            0,
            core::ptr::with_exposed_provenance_mut(quote),
            QUOTE as u32,
            0,
        )
    };
    let Some(mut head) = behind.head::<HEAD>() else {
        return Reason::BadTotalLength;
    };
    notice.write(&mut head, sum as u32);
    let Some(mut head) = packet.head::<{ 12 + tags::LONGEST }>() else {
        return Reason::BadTotalLength;
    };
    tags.write(&mut head, addresses);
    Reason::ToldTooLarge
}

/// Whether this CPU's rate limit allows one more message.
#[inline(always)]
fn is_allowed() -> bool {
    let Some(due) = TOLD.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: the helper takes no arguments.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    // SAFETY: only this CPU accesses its row, and the kernel keeps the memory for as long as the program runs.
    let due = unsafe { &mut *due };
    match too_large::allowed(*due, now) {
        Some(next) => {
            *due = next;
            true
        }
        None => false,
    }
}
