//! The bench's programs: drivers, which feed a program one frame after another, and floors, which do the least that a program
//! could do.
//!
//! A repeated test run does not restore the frame, so an encapsulating program would encapsulate once and then refuse its own
//! output. So a driver undoes what the program did to the last frame, checks it, writes the next flow, and tail-calls the
//! program.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

use core::arch::asm;

use aya_ebpf::{
    bindings::xdp_action,
    helpers::generated::{bpf_ktime_get_ns, bpf_xdp_adjust_head},
    macros::{map, xdp},
    maps::{Array, ProgramArray},
    programs::XdpContext,
};
use balancer_common::{
    Frame as _, FrameMut as _,
    bench::{Drive, REACH, STAMPS as MAX_STAMPS},
};
use balancer_ebpf::packet::{Head, Packet};

#[map]
static DRIVE: Array<Drive> = Array::with_max_entries(1, 0);
/// The clock at every stride of a run, nanoseconds.
#[map]
static STAMPS: Array<u64> = Array::with_max_entries(MAX_STAMPS, 0);
/// The program under test.
#[map]
static DRIVEN: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Live frames that came back: the expected length, the number of frames that have it, and the number of those that do not.
#[map]
static ARRIVED: Array<u64> = Array::with_max_entries(3, 0);
const LENGTH: u32 = 0;
const RIGHT: u32 = 1;
const WRONG: u32 = 2;

/// The EtherType of IPv4, as loaded and stored.
const IPV4: u16 = 0x0800_u16.to_be();

/// Drives a program with frames of IPv4 flows.
#[xdp(frags)]
pub fn drive_ipv4(ctx: XdpContext) -> u32 {
    drive(&ctx, |drive, head| {
        let index = drive.next_flow();
        drive.write_ipv4(index, head);
    })
}

/// Drives a program with frames of IPv6 flows.
#[xdp(frags)]
pub fn drive_ipv6(ctx: XdpContext) -> u32 {
    drive(&ctx, |drive, head| {
        let index = drive.next_flow();
        drive.write_ipv6(index, head);
    })
}

/// Drives a program with frames encapsulated in IPv4.
#[xdp(frags)]
pub fn drive_ipip(ctx: XdpContext) -> u32 {
    drive(&ctx, |drive, head| drive.write_outer::<5>(head))
}

/// Drives a program with frames encapsulated in GUE over IPv4.
#[xdp(frags)]
pub fn drive_gue(ctx: XdpContext) -> u32 {
    drive(&ctx, |drive, head| drive.write_outer::<8>(head))
}

/// Drives a program with frames encapsulated in GUE over IPv4, with three alternates.
#[xdp(frags)]
pub fn drive_carried(ctx: XdpContext) -> u32 {
    drive(&ctx, |drive, head| drive.write_outer::<12>(head))
}

/// The floor for live frames: transmits every frame on its ingress interface.
#[xdp(frags)]
pub fn transmit(_: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

/// Counts live IPv4 frames that come back, and drops them. Other frames are the kernel's own, such as neighbour discovery.
#[xdp(frags)]
pub fn sink(ctx: XdpContext) -> u32 {
    let packet = Packet::new(ctx.data(), ctx.data_end());
    if packet.read(12) != Some(IPV4) {
        return xdp_action::XDP_DROP;
    }
    let length = packet.length() as u64;
    let right = ARRIVED.get(LENGTH).is_some_and(|wanted| *wanted == length);
    if let Some(packets) = ARRIVED.get_ptr_mut(if right { RIGHT } else { WRONG }) {
        // SAFETY: the program runs on one CPU, and the kernel keeps the memory for as long as it runs.
        unsafe { *packets += 1 };
    }
    xdp_action::XDP_DROP
}

/// Passes every frame.
#[xdp(frags)]
pub fn floor_pass(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Puts a constant IPv4 header in front.
#[xdp(frags)]
pub fn floor_ipip(ctx: XdpContext) -> u32 {
    push::<20>(&ctx)
}

/// Puts a constant IPv6 header in front.
#[xdp(frags)]
pub fn floor_ip6ip6(ctx: XdpContext) -> u32 {
    push::<40>(&ctx)
}

/// Puts constant IPv4, UDP and GUE headers in front.
#[xdp(frags)]
pub fn floor_gue(ctx: XdpContext) -> u32 {
    push::<32>(&ctx)
}

/// As above, with headers as long as those with three alternates.
#[xdp(frags)]
pub fn floor_carrying(ctx: XdpContext) -> u32 {
    push::<48>(&ctx)
}

/// Removes an IPv4 header.
#[xdp(frags)]
pub fn floor_decap_ipip(ctx: XdpContext) -> u32 {
    pop::<20>(&ctx)
}

/// Removes IPv4, UDP and GUE headers.
#[xdp(frags)]
pub fn floor_decap_gue(ctx: XdpContext) -> u32 {
    pop::<32>(&ctx)
}

/// As above, with headers as long as those with three alternates.
#[xdp(frags)]
pub fn floor_decap_carried(ctx: XdpContext) -> u32 {
    pop::<48>(&ctx)
}

#[inline(always)]
fn drive(ctx: &XdpContext, write: impl FnOnce(&mut Drive, &mut Head)) -> u32 {
    if prepare(ctx, write).is_some() {
        // SAFETY: nothing of this program is used afterwards; the call returns only if there is no program.
        unsafe { DRIVEN.tail_call(ctx, 0) };
    }
    xdp_action::XDP_ABORTED
}

#[inline(always)]
fn prepare(ctx: &XdpContext, write: impl FnOnce(&mut Drive, &mut Head)) -> Option<()> {
    // SAFETY: the runs are sequential and on one CPU, and the kernel keeps the memory for as long as the program runs.
    let drive = unsafe { &mut *DRIVE.get_ptr_mut(0)? };
    let packet = Packet::new(ctx.data(), ctx.data_end());
    let mut length = packet.length() as u64;
    // SAFETY: an empty barrier. It keeps the compiler from replacing arithmetic on lengths by arithmetic on packet pointers.
    unsafe { asm!("{0} = {0}", inout(reg) length, options(nomem, nostack, preserves_flags)) };
    let growth = length as i32 - drive.length as i32;
    if growth != drive.growth && drive.packets != 0 {
        drive.violations += 1;
    }
    drive.packets += 1;
    if let Some(stamp) = drive.stamp().and_then(|stamp| STAMPS.get_ptr_mut(stamp)) {
        // SAFETY: as above; the helper only reads the clock.
        unsafe { *stamp = bpf_ktime_get_ns() };
    }
    if growth != 0 && !adjust(ctx, growth) {
        return None;
    }
    let mut head = Packet::new(ctx.data(), ctx.data_end()).head::<REACH>()?;
    write(drive, &mut head);
    Some(())
}

/// Moves the frame's start. Packet pointers must be reloaded afterwards.
#[inline(always)]
fn adjust(ctx: &XdpContext, by: i32) -> bool {
    // SAFETY: `ctx` is the context that the kernel passed in.
    unsafe { bpf_xdp_adjust_head(ctx.ctx, by) == 0 }
}

#[inline(always)]
fn push<const BYTES: usize>(ctx: &XdpContext) -> u32 {
    if !adjust(ctx, -(BYTES as i32)) {
        return xdp_action::XDP_DROP;
    }
    let Some(mut head) = Packet::new(ctx.data(), ctx.data_end()).head::<REACH>() else {
        return xdp_action::XDP_DROP;
    };
    head.write(0, 0x0200_0101_0000_0002_u64);
    head.write(8, 0x0200_0000_u32);
    head.write(12, IPV4);
    let mut at = 14;
    while at + 8 <= 14 + BYTES {
        head.write(at, 0x4500_0640_0000_0045_u64);
        at += 8;
    }
    if BYTES % 8 == 4 {
        head.write(at, 0x0a01_0002_u32);
    }
    xdp_action::XDP_TX
}

#[inline(always)]
fn pop<const BYTES: usize>(ctx: &XdpContext) -> u32 {
    let packet = Packet::new(ctx.data(), ctx.data_end());
    let (Some(first), Some(second)) = (packet.read::<u64>(0), packet.read::<u32>(8)) else {
        return xdp_action::XDP_DROP;
    };
    if !adjust(ctx, BYTES as i32) {
        return xdp_action::XDP_DROP;
    }
    let Some(mut head) = Packet::new(ctx.data(), ctx.data_end()).head::<14>() else {
        return xdp_action::XDP_DROP;
    };
    head.write(0, first);
    head.write(8, second);
    head.write(12, IPV4);
    xdp_action::XDP_PASS
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
