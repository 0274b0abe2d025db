//! The program `balance`, on an edge's interface: parse -> service -> slot -> backend ->
//! encapsulate -> transmit. It keeps no flow.

#![no_std]
#![no_main]

use aya_ebpf::{
    Global,
    bindings::xdp_action,
    btf_maps::{Array as InnerArray, ArrayOfMaps},
    helpers::generated::{bpf_redirect, bpf_xdp_adjust_head},
    macros::{btf_map, map, xdp},
    maps::{Array, HashMap, PerCpuArray},
    programs::XdpContext,
};
use aya_log_ebpf::info;
use balancer_common::{
    Address, Frame as _, Reason,
    abi::{
        Backend, HistoryRow, LINE_SLOTS, MAX_BACKENDS, MAX_SERVICES, MAX_TABLES, Service,
        ServiceKey, Slot, SlotLine, Traffic, outer,
    },
    alternates,
    edge::{self, Choice, Moved, Tables},
    flow::HashKey,
    outer::{Carrying, GueIpv4, GueIpv6, Ipv4, Ipv6, Outer},
    reason::{self, Verdict},
};
use balancer_ebpf::{
    counter::{count, count_reason},
    packet::{Head, Packet},
};

/// Inner arrays of one outer map differ in length (Linux 5.10).
const INNER: usize = aya_ebpf::bindings::BPF_F_INNER_MAP as usize;

#[map]
static VIPS: HashMap<Address, u32> = HashMap::with_max_entries(MAX_SERVICES, 0);
#[map]
static SERVICES: HashMap<ServiceKey, Service> = HashMap::with_max_entries(MAX_SERVICES, 0);
#[map]
static BACKENDS: Array<Backend> = Array::with_max_entries(MAX_BACKENDS, 0);
#[map]
static TRAFFIC: PerCpuArray<Traffic> = PerCpuArray::with_max_entries(MAX_BACKENDS, 0);
#[map]
static REASONS: PerCpuArray<Traffic> = PerCpuArray::with_max_entries(reason::ROWS, 0);
#[btf_map]
static TABLES: ArrayOfMaps<InnerArray<SlotLine, 1, INNER>, { MAX_TABLES as usize }> =
    ArrayOfMaps::new();
/// The earlier owners of moved slots, one row a slot; the daemon keeps it beside each table.
#[btf_map]
static HISTORIES: ArrayOfMaps<InnerArray<HistoryRow, 1, INNER>, { MAX_TABLES as usize }> =
    ArrayOfMaps::new();

/// Set by the daemon when it loads the program.
#[unsafe(no_mangle)]
static HASH_KEY: Global<HashKey> = Global::new(HashKey([0; 7]));
/// Not 0 to log drops, each time a reason's count on a CPU reaches a power of two.
#[unsafe(no_mangle)]
static DEBUG_PACKETS: Global<u32> = Global::new(0);

struct Maps;

impl Tables for Maps {
    #[inline(always)]
    fn is_vip(&self, address: &Address) -> bool {
        VIPS.get_ptr(address).is_some()
    }

    #[inline(always)]
    fn service(&self, key: &ServiceKey) -> Option<Service> {
        // SAFETY: the value is copied at once; a replaced one is freed only after the program ran.
        unsafe { SERVICES.get(key).copied() }
    }

    #[inline(always)]
    fn slot(&self, table: u32, slot: u32) -> Option<Slot> {
        let line = TABLES.get_value(table, &(slot / LINE_SLOTS as u32))?;
        Some(Slot(line[slot as usize % LINE_SLOTS]))
    }

    #[inline(always)]
    fn backend(&self, id: u16) -> Option<&Backend> {
        BACKENDS.get(u32::from(id))
    }

    #[inline(always)]
    fn history(&self, table: u32, slot: u32) -> Option<HistoryRow> {
        HISTORIES.get_value(table, &slot).copied()
    }
}

/// Balances packets for VIPs; everything else passes.
#[xdp]
pub fn balance(ctx: XdpContext) -> u32 {
    let packet = Packet::new(ctx.data(), ctx.data_end());
    let met = match edge::choose(packet, &Maps, &HASH_KEY.load()) {
        Ok(choice) => transmit(&ctx, &choice),
        Err(reason) => Err(reason),
    };
    match met {
        Ok(action) => action,
        Err(reason) => end(&ctx, reason, packet.length() as u64),
    }
}

/// Puts the outer header in front, counts the packet at its backend, and sends it.
#[inline(always)]
fn transmit(ctx: &XdpContext, choice: &Choice<'_>) -> Result<u32, Reason> {
    match choice.moved {
        None => plain(ctx, choice),
        Some(moved) => carrying(ctx, choice, moved),
    }?;
    count(&TRAFFIC, u32::from(choice.id), choice.inner.length as u64);
    // SAFETY: the context is the one that the kernel gave this program.
    let ingress = unsafe { (*ctx.ctx).ingress_ifindex };
    if choice.backend.interface == ingress {
        return Ok(xdp_action::XDP_TX);
    }
    // SAFETY: takes numbers only.
    Ok(unsafe { bpf_redirect(choice.backend.interface, 0) } as u32)
}

#[inline(always)]
fn plain(ctx: &XdpContext, choice: &Choice<'_>) -> Result<(), Reason> {
    let Choice { backend, inner, .. } = choice;
    match backend.outer {
        outer::GUE_IPV4 => push::<{ 14 + GueIpv4::LENGTH }>(ctx, |head| {
            GueIpv4::write(head, backend, inner);
        }),
        outer::GUE_IPV6 => push::<{ 14 + GueIpv6::LENGTH }>(ctx, |head| {
            GueIpv6::write(head, backend, inner);
        }),
        outer::IPV4 => push::<{ 14 + Ipv4::LENGTH }>(ctx, |head| {
            Ipv4::write(head, backend, inner);
        }),
        outer::IPV6 => push::<{ 14 + Ipv6::LENGTH }>(ctx, |head| {
            Ipv6::write(head, backend, inner);
        }),
        _ => Err(Reason::NoBackend),
    }
}

/// The same, with the earlier owners that can be reached.
#[inline(always)]
fn carrying(ctx: &XdpContext, choice: &Choice<'_>, moved: Moved) -> Result<(), Reason> {
    let ipv4 = choice.backend.outer == outer::GUE_IPV4;
    match edge::alternates(&Maps, choice, moved)? {
        [Some(a), Some(b), Some(c)] if ipv4 => carry4::<3, { grown4(3) }>(ctx, choice, [a, b, c]),
        [Some(a), Some(b), _] if ipv4 => carry4::<2, { grown4(2) }>(ctx, choice, [a, b]),
        [Some(a), ..] if ipv4 => carry4::<1, { grown4(1) }>(ctx, choice, [a]),
        [Some(a), Some(b), Some(c)] => carry6::<3, { grown6(3) }>(ctx, choice, [a, b, c]),
        [Some(a), Some(b), _] => carry6::<2, { grown6(2) }>(ctx, choice, [a, b]),
        [Some(a), ..] => carry6::<1, { grown6(1) }>(ctx, choice, [a]),
        _ => plain(ctx, choice),
    }
}

/// Bytes of the Ethernet header and the outer header with so many alternates.
const fn grown4(count: usize) -> usize {
    14 + GueIpv4::LENGTH + alternates::length(count, 4)
}

/// The same over IPv6.
const fn grown6(count: usize) -> usize {
    14 + GueIpv6::LENGTH + alternates::length(count, 16)
}

#[inline(always)]
fn carry4<const N: usize, const HEAD: usize>(
    ctx: &XdpContext,
    choice: &Choice<'_>,
    alternates: [&Backend; N],
) -> Result<(), Reason> {
    push::<HEAD>(ctx, |head| {
        GueIpv4::write_carrying(head, choice.backend, alternates, &choice.inner);
    })
}

#[inline(always)]
fn carry6<const N: usize, const HEAD: usize>(
    ctx: &XdpContext,
    choice: &Choice<'_>,
    alternates: [&Backend; N],
) -> Result<(), Reason> {
    push::<HEAD>(ctx, |head| {
        GueIpv6::write_carrying(head, choice.backend, alternates, &choice.inner);
    })
}

/// Makes room for an outer header: `HEAD` bytes, Ethernet's included, which `write` fills.
#[inline(always)]
fn push<const HEAD: usize>(ctx: &XdpContext, write: impl FnOnce(&mut Head)) -> Result<(), Reason> {
    // SAFETY: the context is the one that the kernel gave this program; packet pointers are read
    // afresh below, as the helper asks.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, -(HEAD as i32 - 14)) } != 0 {
        return Err(Reason::NoHeadroom);
    }
    let mut head = Packet::new(ctx.data(), ctx.data_end())
        .head::<HEAD>()
        .ok_or(Reason::NoHeadroom)?;
    write(&mut head);
    Ok(())
}

#[inline(always)]
fn end(ctx: &XdpContext, reason: Reason, bytes: u64) -> u32 {
    let packets = count_reason(&REASONS, reason, bytes);
    match reason.verdict() {
        Verdict::Pass => xdp_action::XDP_PASS,
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

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
