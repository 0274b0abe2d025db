//! The agent's programs, inside an instance's network namespace: `decap` takes packets out of
//! their encapsulation, `clamp` lowers the MSS of SYN-ACKs that leave.

#![no_std]
#![no_main]

use aya_ebpf::{
    Global,
    bindings::{TC_ACT_OK, xdp_action},
    helpers::generated::{bpf_l4_csum_replace, bpf_xdp_adjust_head},
    macros::{classifier, map, xdp},
    maps::{HashMap, LpmTrie, PerCpuArray, lpm_trie},
    programs::{TcContext, XdpContext},
};
use balancer_common::{
    Address, Frame as _, FrameMut as _, Reason,
    abi::Traffic,
    agent::{self, Instance, Opened},
    clamp::{self, Limits},
    reason::{self, Verdict},
};
use balancer_ebpf::{counter::count_reason, packet::Packet};

/// Source prefixes of edges; IPv4 ones in mapped form, 96 bits longer.
#[map]
static EDGES: LpmTrie<[u8; 16], u32> =
    LpmTrie::with_max_entries(1_024, aya_ebpf::bindings::BPF_F_NO_PREALLOC);
#[map]
static VIPS: HashMap<Address, u32> = HashMap::with_max_entries(1_024, 0);
#[map]
static REASONS: PerCpuArray<Traffic> = PerCpuArray::with_max_entries(reason::ROWS, 0);

/// Set by the agent when it loads the programs.
#[unsafe(no_mangle)]
static LIMITS: Global<Limits> = Global::new(Limits { ipv4: 0, ipv6: 0 });

struct Maps;

impl Instance for Maps {
    #[inline(always)]
    fn is_edge(&self, source: &Address) -> bool {
        EDGES
            .get(&lpm_trie::Key::new(128, source.octets()))
            .is_some()
    }

    #[inline(always)]
    fn is_vip(&self, address: &Address) -> bool {
        VIPS.get_ptr(address).is_some()
    }
}

/// Takes packets from edges out of their encapsulation and passes them up the stack.
#[xdp]
pub fn decap(ctx: XdpContext) -> u32 {
    let packet = Packet::new(ctx.data(), ctx.data_end());
    let reason = match agent::open(packet, &Maps) {
        Ok(opened) => pop(&ctx, packet, opened),
        Err(reason) => reason,
    };
    count_reason(&REASONS, reason, packet.length() as u64);
    match reason.verdict() {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
    }
}

/// Removes the outer header and puts the Ethernet header in front of the inner packet.
#[inline(always)]
fn pop(ctx: &XdpContext, packet: Packet, opened: Opened) -> Reason {
    let (Some(first), Some(second)) = (packet.read::<u64>(0), packet.read::<u32>(8)) else {
        return Reason::BadOuterHeader;
    };
    // SAFETY: the context is the one that the kernel gave this program; packet pointers are read
    // afresh below, as the helper asks.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, opened.outer_length as i32) } != 0 {
        return Reason::BadOuterHeader;
    }
    let Some(mut head) = Packet::new(ctx.data(), ctx.data_end()).head::<14>() else {
        return Reason::BadInnerHeader;
    };
    head.write(0, first);
    head.write(8, second);
    head.write(12, opened.ether_type);
    Reason::Decapsulated
}

/// Lowers the MSS of SYN-ACKs from a VIP.
#[classifier]
pub fn clamp(ctx: TcContext) -> i32 {
    let packet = Packet::new(ctx.data(), ctx.data_end());
    if let Some(excess) = clamp::excess(packet, LIMITS.load(), |source| Maps.is_vip(source))
        && let Some(mut value) = packet.skip(excess.value_at).head::<2>()
    {
        value.write(0, excess.limit.to_be());
        let (old, new) = excess.checksum_words();
        // SAFETY: takes the context that the kernel gave this program, and numbers. Packet
        // pointers are not used after it.
        unsafe {
            bpf_l4_csum_replace(
                ctx.skb.skb,
                excess.checksum_at as u32,
                u64::from(old),
                u64::from(new),
                2,
            )
        };
        count_reason(&REASONS, Reason::MssClamped, 0);
    }
    TC_ACT_OK
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
