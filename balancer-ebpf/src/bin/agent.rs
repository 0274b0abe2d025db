//! The agent's programs, in an instance's network namespace. `decap` (with `decap_slow`) decapsulates packets, `hand_on`
//! forwards those that belong to another backend, and `clamp` lowers the MSS of outgoing SYN-ACKs.

#![no_std]
#![no_main]

use aya_ebpf::{
    Global,
    bindings::{TC_ACT_OK, TC_ACT_UNSPEC, xdp_action},
    helpers::generated::{bpf_l4_csum_replace, bpf_redirect_neigh, bpf_xdp_adjust_head},
    macros::{classifier, map, xdp},
    maps::{HashMap, LpmTrie, PerCpuArray, ProgramArray, lpm_trie},
    programs::{TcContext, XdpContext},
};
use balancer_common::{
    Address, Frame as _, FrameMut as _, Reason,
    abi::{Traffic, program},
    agent::{self, Evidence, Fate, HandOn, Instance, Mark, Opened, Segment},
    clamp::{self, Limits},
    frame::swap_macs,
    icmp_error::Quote,
    inline_prefixes::{self, InlinePrefixes},
    reason::{self, Verdict},
};
use balancer_ebpf::{counter::count_reason, mark, packet::Packet, sockets, tail_call::tail_call};

/// Source prefixes of edges. IPv4 prefixes are in IPv4-mapped form, so 96 bits longer.
#[map]
static EDGES: LpmTrie<[u8; 16], u32> =
    LpmTrie::with_max_entries(1_024, aya_ebpf::bindings::BPF_F_NO_PREALLOC);
/// Source prefixes of other backends, in the same form.
#[map]
static PEERS: LpmTrie<[u8; 16], u32> =
    LpmTrie::with_max_entries(1_024, aya_ebpf::bindings::BPF_F_NO_PREALLOC);
#[map]
static VIPS: HashMap<Address, u32> = HashMap::with_max_entries(1_024, 0);
#[map]
static REASONS: PerCpuArray<Traffic> = PerCpuArray::with_max_entries(reason::ROWS, 0);
/// The programs that `decap` tail-calls. The agent fills the map.
#[map]
static PROGRAMS: ProgramArray = ProgramArray::with_max_entries(program::PLACES, 0);

/// Set by the agent when it loads the programs.
#[unsafe(no_mangle)]
static LIMITS: Global<Limits> = Global::new(Limits { ipv4: 0, ipv6: 0 });

/// Set by the agent when it loads the programs: the offset of `snt_isn` in the kernel's `tcp_request_sock`.
#[unsafe(no_mangle)]
static SNT_ISN: Global<u32> = Global::new(0);

/// The contents of the maps as constants, if they are few enough. Set by the agent when it loads the programs.
#[unsafe(no_mangle)]
static EDGE_LIST: Global<[u64; inline_prefixes::WORDS]> = Global::new([0; inline_prefixes::WORDS]);
#[unsafe(no_mangle)]
static PEER_LIST: Global<[u64; inline_prefixes::WORDS]> = Global::new([0; inline_prefixes::WORDS]);
#[unsafe(no_mangle)]
static VIP_LIST: Global<[u64; inline_prefixes::WORDS]> = Global::new([0; inline_prefixes::WORDS]);

/// A list in the program's read-only data.
struct Constants(&'static Global<[u64; inline_prefixes::WORDS]>);

impl InlinePrefixes for Constants {
    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        let words = core::ptr::from_ref(self.0).cast::<u64>();
        // SAFETY: a `Global` has the layout of its value, [`inline_prefixes::WORDS`] words. The volatile read keeps the
        // compiler from using the initial value instead of the one that the agent sets.
        unsafe { words.add(at).read_volatile() }
    }
}

/// The maps, and the sockets of the namespace in which the frame arrived.
struct Here<'a>(&'a XdpContext);

impl Instance<Packet> for Here<'_> {
    #[inline(always)]
    fn is_edge(&self, source: &Address) -> bool {
        let there = || EDGES.get(&lpm_trie::Key::new(128, source.octets()));
        Constants(&EDGE_LIST)
            .has(source)
            .unwrap_or_else(|| there().is_some())
    }

    #[inline(always)]
    fn is_peer(&self, address: &Address) -> bool {
        let there = || PEERS.get(&lpm_trie::Key::new(128, address.octets()));
        Constants(&PEER_LIST)
            .has(address)
            .unwrap_or_else(|| there().is_some())
    }

    #[inline(always)]
    fn is_vip(&self, address: &Address) -> bool {
        is_vip(address)
    }

    #[inline(always)]
    fn knows(&self, segment: &Segment<Packet>) -> Evidence {
        sockets::knows(self.0, segment, SNT_ISN.load())
    }

    #[inline(always)]
    fn is_connected(&self, segment: &Segment<Packet>) -> bool {
        sockets::is_connected(self.0, segment)
    }

    #[inline(always)]
    fn knows_quoted(&self, quote: &Quote) -> Evidence {
        sockets::knows_quoted(self.0, quote, SNT_ISN.load())
    }
}

#[inline(always)]
fn is_vip(address: &Address) -> bool {
    // The copy keeps the rest of the caller's struct in registers: only what a helper gets a pointer to must be on the stack.
    let Address([high, low]) = *address;
    let there = || VIPS.get_ptr(Address([high, low])).is_some();
    Constants(&VIP_LIST).has(address).unwrap_or_else(there)
}

/// Fast path: decapsulates packets from edges and passes them to the stack. Tail-calls [`decap_slow`] for all others.
#[xdp(frags)]
#[inline(always)]
pub fn decap(ctx: XdpContext) -> u32 {
    // First buffer only: frames with frags take the slow path.
    let packet = Packet::new(ctx.data(), ctx.data_end());
    let verdict = match agent::open_fast(packet, &Here(&ctx)) {
        Some(opened) => verdict(pop(&ctx, packet, opened)),
        None => {
            tail_call::<{ program::DECAP_SLOW }>(&ctx, &PROGRAMS);
            // The tail call failed: leave the packet to the stack, because the instance has other traffic, too.
            verdict(Reason::NotEncapsulated)
        }
    };
    conclude(packet, verdict)
}

/// Slow path: decapsulates any valid packet, or forwards it to an alternate that may know its flow. A separate program, so
/// that its register pressure does not slow down the fast path.
#[xdp(frags)]
#[inline(always)]
pub fn decap_slow(ctx: XdpContext) -> u32 {
    let packet = Packet::of(&ctx);
    let verdict = match agent::open(packet, &Here(&ctx)) {
        Ok(Fate::Opened(opened)) => verdict(pop(&ctx, packet, opened)),
        Ok(Fate::HandedOn(hand_on)) => readdress(&ctx, packet, &hand_on),
        Err(reason) => verdict(reason),
    };
    conclude(packet, verdict)
}

#[inline(always)]
fn conclude(packet: Packet, (reason, action): (Reason, u32)) -> u32 {
    count_reason(&REASONS, reason, packet.length() as u64);
    action
}

#[inline(always)]
fn verdict(reason: Reason) -> (Reason, u32) {
    match reason.verdict() {
        Verdict::Pass => (reason, xdp_action::XDP_PASS),
        Verdict::Answer => (reason, xdp_action::XDP_TX),
        Verdict::Drop => (reason, xdp_action::XDP_DROP),
    }
}

/// Removes the outer header and moves the Ethernet header in front of the inner packet.
#[inline(always)]
fn pop(ctx: &XdpContext, packet: Packet, opened: Opened) -> Reason {
    let (Some(first), Some(second)) = (packet.read::<u64>(0), packet.read::<u32>(8)) else {
        return Reason::BadOuterHeader;
    };
    // SAFETY: `ctx` is the context that the kernel passed in. The helper invalidates packet pointers; they
    // are reloaded below.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, opened.outer_length as i32) } != 0 {
        return Reason::BadOuterHeader;
    }
    let packet = Packet::of(ctx);
    let Some(mut head) = packet.head::<{ 14 + Mark::REACH }>() else {
        return Reason::BadInnerHeader;
    };
    head.write(0, first);
    head.write(8, second);
    head.write(12, opened.ether_type);
    if let Some(mark) = opened.mark {
        mark.write(&mut head, 14);
    }
    opened.reason
}

/// Rewrites the outer header for the next alternate and marks the frame. `hand_on` then sends it by the kernel's routes and
/// neighbours.
#[inline(always)]
fn readdress(ctx: &XdpContext, packet: Packet, hand_on: &HandOn) -> (Reason, u32) {
    if hand_on.next.is_ipv4() {
        let Some(mut head) = packet.head::<{ HandOn::IPV4_REACH }>() else {
            return verdict(Reason::BadOuterHeader);
        };
        hand_on.write_ipv4(&mut head);
    } else {
        let Some(mut head) = packet.head::<{ HandOn::IPV6_REACH }>() else {
            return verdict(Reason::BadOuterHeader);
        };
        hand_on.write_ipv6(&mut head);
    }
    if mark::put(ctx) {
        return verdict(hand_on.reason);
    }
    // No room for a mark: send the frame back to its sender's MAC address, which can route it.
    let packet = Packet::of(ctx);
    let Some(mut head) = packet.head::<14>() else {
        return verdict(Reason::BadOuterHeader);
    };
    let (Some(first), Some(second)) = (packet.read(0), packet.read(8)) else {
        return verdict(Reason::BadOuterHeader);
    };
    let (first, second) = swap_macs((first, second));
    head.write(0, first);
    head.write(8, second);
    (hand_on.reason, xdp_action::XDP_TX)
}

/// On ingress: sends frames that are marked to their next hop.
#[classifier]
pub fn hand_on(ctx: TcContext) -> i32 {
    if !mark::is_on(&ctx) {
        return TC_ACT_UNSPEC;
    }
    // SAFETY: `ctx` is the context that the kernel passed in.
    let interface = unsafe { (*ctx.skb.skb).ifindex };
    // SAFETY: the helper takes integers only; the parameters are null.
    unsafe { bpf_redirect_neigh(interface, core::ptr::null_mut(), 0, 0) as i32 }
}

/// On egress: lowers the MSS of SYN-ACKs from a VIP.
#[classifier]
pub fn clamp(ctx: TcContext) -> i32 {
    let packet = Packet::new(ctx.data(), ctx.data_end());
    if let Some(excess) = clamp::excess(packet, LIMITS.load(), is_vip)
        && let Some(mut value) = packet.skip(excess.value_at).head::<2>()
    {
        value.write(0, excess.limit.to_be());
        let (old, new) = excess.checksum_words();
        // SAFETY: the helper takes the context that the kernel passed in, and integers. Packet
        // pointers are not used afterwards.
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
