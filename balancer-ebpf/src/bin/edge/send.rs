//! Encapsulates and transmits: puts the outer header in front of the packet, with or without VLAN tags.

use core::arch::asm;

use aya_ebpf::{
    bindings::xdp_action,
    helpers::generated::{bpf_redirect, bpf_xdp_adjust_head},
    programs::XdpContext,
};
use balancer_common::{
    Reason,
    abi::{Backend, outer, program},
    alternates,
    edge::{self, Choice, Moved},
    outer::{Carrying, GueIpv4, GueIpv6, Ipv4, Ipv6, Outer},
};
use balancer_ebpf::{
    counter::count,
    packet::{Head, Packet},
    tail_call::tail_call,
};

use crate::maps::{Maps, PROGRAMS, TRAFFIC};

/// The link layer of a frame: what is between the Ethernet addresses and the EtherType, on arrival and on departure.
pub(crate) trait Link {
    /// The kind of outer header for a backend, one of [`outer`]; any other value if this link layer cannot carry it.
    fn kind(&self, backend: &Backend) -> u8;
    /// Tail-calls a program that can carry it, if this one cannot.
    fn give_up(&self, ctx: &XdpContext);
    /// Bytes by which the link layer grows.
    fn growth(&self) -> i32;
    /// The outgoing frame behind its tags.
    fn behind(&self, packet: Packet) -> Packet;
    /// Writes the Ethernet addresses and tags. Called after the outer header was written.
    fn write(&self, packet: Packet, backend: &Backend) -> Result<(), Reason>;
}

/// Untagged frames.
pub(crate) struct Untagged;

impl Link for Untagged {
    #[inline(always)]
    fn kind(&self, backend: &Backend) -> u8 {
        backend.outer
    }

    #[inline(always)]
    fn give_up(&self, ctx: &XdpContext) {
        tail_call::<{ program::BALANCE_SLOW }>(ctx, &PROGRAMS);
    }

    #[inline(always)]
    fn growth(&self) -> i32 {
        0
    }

    #[inline(always)]
    fn behind(&self, packet: Packet) -> Packet {
        packet
    }

    #[inline(always)]
    fn write(&self, _: Packet, _: &Backend) -> Result<(), Reason> {
        Ok(())
    }
}

/// The ingress interface.
#[inline(always)]
pub(crate) fn ingress(ctx: &XdpContext) -> u32 {
    let mut context = ctx.ctx;
    // SAFETY: an empty barrier. Without it the compiler may keep a pointer into the middle of the context, and the
    // verifier rejects loads through such a pointer.
    unsafe { asm!("{0} = {0}", inout(reg) context, options(nomem, nostack, preserves_flags)) };
    // SAFETY: `ctx` is the context that the kernel passed in.
    unsafe { (*context).ingress_ifindex }
}

/// Encapsulates the packet, counts it at its backend, and sends it.
#[inline(always)]
pub(crate) fn transmit<L: Link>(
    ctx: &XdpContext,
    choice: &Choice<'_>,
    link: &L,
) -> Result<u32, Reason> {
    match choice.moved {
        None => without_alternates(ctx, choice, link),
        Some(moved) => with_alternates(ctx, choice, link, moved),
    }?;
    count(&TRAFFIC, u32::from(choice.id), choice.inner.length as u64);
    if choice.backend.interface == ingress(ctx) {
        return Ok(xdp_action::XDP_TX);
    }
    // SAFETY: the helper takes integers only.
    Ok(unsafe { bpf_redirect(choice.backend.interface, 0) } as u32)
}

#[inline(always)]
fn without_alternates<L: Link>(
    ctx: &XdpContext,
    choice: &Choice<'_>,
    link: &L,
) -> Result<(), Reason> {
    let Choice { backend, inner, .. } = choice;
    match link.kind(backend) {
        outer::GUE_IPV4 => push::<{ 14 + GueIpv4::LENGTH }, _>(ctx, choice, link, |head| {
            GueIpv4::write(head, backend, inner);
        }),
        outer::GUE_IPV6 => push::<{ 14 + GueIpv6::LENGTH }, _>(ctx, choice, link, |head| {
            GueIpv6::write(head, backend, inner);
        }),
        outer::IPV4 => push::<{ 14 + Ipv4::LENGTH }, _>(ctx, choice, link, |head| {
            Ipv4::write(head, backend, inner);
        }),
        outer::IPV6 => push::<{ 14 + Ipv6::LENGTH }, _>(ctx, choice, link, |head| {
            Ipv6::write(head, backend, inner);
        }),
        _ => {
            link.give_up(ctx);
            Err(Reason::NoBackend)
        }
    }
}

/// As [`without_alternates`], with the earlier owners that can be reached as alternates.
#[inline(always)]
fn with_alternates<L: Link>(
    ctx: &XdpContext,
    choice: &Choice<'_>,
    link: &L,
    moved: Moved,
) -> Result<(), Reason> {
    let ipv4 = match link.kind(choice.backend) {
        outer::GUE_IPV4 => true,
        outer::GUE_IPV6 => false,
        _ => {
            link.give_up(ctx);
            return Err(Reason::NoBackend);
        }
    };
    match edge::alternates(&Maps, choice, moved)? {
        [Some(a), Some(b), Some(c)] if ipv4 => {
            carry4::<3, { grown4(3) }, _>(ctx, choice, link, [a, b, c])
        }
        [Some(a), Some(b), _] if ipv4 => carry4::<2, { grown4(2) }, _>(ctx, choice, link, [a, b]),
        [Some(a), ..] if ipv4 => carry4::<1, { grown4(1) }, _>(ctx, choice, link, [a]),
        [Some(a), Some(b), Some(c)] => carry6::<3, { grown6(3) }, _>(ctx, choice, link, [a, b, c]),
        [Some(a), Some(b), _] => carry6::<2, { grown6(2) }, _>(ctx, choice, link, [a, b]),
        [Some(a), ..] => carry6::<1, { grown6(1) }, _>(ctx, choice, link, [a]),
        _ => without_alternates(ctx, choice, link),
    }
}

/// Bytes of the Ethernet header and the outer header with `count` alternates, over IPv4.
const fn grown4(count: usize) -> usize {
    14 + GueIpv4::LENGTH + alternates::length(count, 4)
}

/// The same over IPv6.
const fn grown6(count: usize) -> usize {
    14 + GueIpv6::LENGTH + alternates::length(count, 16)
}

#[inline(always)]
fn carry4<const N: usize, const HEAD: usize, L: Link>(
    ctx: &XdpContext,
    choice: &Choice<'_>,
    link: &L,
    alternates: [&Backend; N],
) -> Result<(), Reason> {
    push::<HEAD, _>(ctx, choice, link, |head| {
        GueIpv4::write_carrying(head, choice.backend, alternates, &choice.inner);
    })
}

#[inline(always)]
fn carry6<const N: usize, const HEAD: usize, L: Link>(
    ctx: &XdpContext,
    choice: &Choice<'_>,
    link: &L,
    alternates: [&Backend; N],
) -> Result<(), Reason> {
    push::<HEAD, _>(ctx, choice, link, |head| {
        GueIpv6::write_carrying(head, choice.backend, alternates, &choice.inner);
    })
}

/// Makes room for the outer header and calls `write` to fill it. `HEAD` is its length with the Ethernet header.
#[inline(always)]
fn push<const HEAD: usize, L: Link>(
    ctx: &XdpContext,
    choice: &Choice<'_>,
    link: &L,
    write: impl FnOnce(&mut Head),
) -> Result<(), Reason> {
    let growth = HEAD as i32 - 14 + link.growth();
    // SAFETY: `ctx` is the context that the kernel passed in. The helper invalidates packet pointers; they
    // are reloaded below.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, -growth) } != 0 {
        return Err(Reason::NoHeadroom);
    }
    let packet = Packet::of(ctx);
    let mut head = link
        .behind(packet)
        .head::<HEAD>()
        .ok_or(Reason::NoHeadroom)?;
    write(&mut head);
    link.write(packet, choice.backend)
}
