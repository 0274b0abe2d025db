//! Socket look-up: whether a network namespace has a socket for a TCP segment's flow.

use core::ptr;

use aya_ebpf::{
    bindings::{
        BPF_F_CURRENT_NETNS, BPF_TCP_LISTEN, BPF_TCP_NEW_SYN_RECV, BPF_TCP_TIME_WAIT, bpf_sock,
        bpf_sock_tuple, bpf_sock_tuple__bindgen_ty_1, bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1,
        bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2,
    },
    helpers::generated::{
        bpf_sk_release, bpf_skc_lookup_tcp, bpf_skc_to_tcp_request_sock, bpf_tcp_check_syncookie,
    },
    programs::XdpContext,
};
use balancer_common::{
    Address, Frame as _,
    agent::{Evidence, Segment},
    flow::Flow,
    icmp_error::Quote,
};

use crate::packet::Packet;

/// Bytes of the fixed part of an IPv4, an IPv6 and a TCP header.
const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;
/// TCP's protocol number.
const TCP_PROTOCOL: u8 = 6;

/// Looks the segment's flow up in the namespace of the ingress interface. `snt_isn` is the byte offset of the field of that
/// name, the sequence number of the SYN-ACK, in the kernel's `tcp_request_sock`; 0 if the offset is unknown.
#[inline(always)]
pub fn knows(ctx: &XdpContext, segment: &Segment<Packet>, snt_isn: u32) -> Evidence {
    let Some(socket) = Socket::find(ctx, &flow(segment), segment.ipv4) else {
        return Evidence::Nothing;
    };
    let evidence = match socket.state() {
        BPF_TCP_LISTEN => socket.cookie(segment),
        BPF_TCP_NEW_SYN_RECV => {
            // The segment must acknowledge this socket's SYN-ACK, and not that of another backend.
            let acknowledged = segment.segment.read(8).map(u32::from_be);
            socket.request(acknowledged.map(|it| it.wrapping_sub(1)), snt_isn)
        }
        BPF_TCP_TIME_WAIT => Evidence::Weak,
        _ => Evidence::Known,
    };
    socket.release();
    evidence
}

/// Whether the namespace has an established connection for the segment. For the fast path, which needs no finer evidence.
#[inline(always)]
pub fn is_connected(ctx: &XdpContext, segment: &Segment<Packet>) -> bool {
    let Some(socket) = Socket::find(ctx, &flow(segment), segment.ipv4) else {
        return false;
    };
    let state = socket.state();
    socket.release();
    !matches!(
        state,
        BPF_TCP_LISTEN | BPF_TCP_NEW_SYN_RECV | BPF_TCP_TIME_WAIT
    )
}

/// As [`knows`], for the flow that an ICMP error quotes. A listener is no evidence.
#[inline(always)]
pub fn knows_quoted(ctx: &XdpContext, quote: &Quote, snt_isn: u32) -> Evidence {
    let Some(socket) = Socket::find(ctx, &quote.flow, quote.ipv4) else {
        return Evidence::Nothing;
    };
    let evidence = match socket.state() {
        BPF_TCP_LISTEN => Evidence::Nothing,
        BPF_TCP_NEW_SYN_RECV => socket.request(Some(quote.sequence), snt_isn),
        BPF_TCP_TIME_WAIT => Evidence::Weak,
        _ => Evidence::Known,
    };
    socket.release();
    evidence
}

#[inline(always)]
fn flow(segment: &Segment<Packet>) -> Flow {
    Flow {
        source: segment.source,
        destination: segment.destination,
        ports: segment.ports,
        protocol: TCP_PROTOCOL,
    }
}

/// A counted reference to a socket. It must be released.
struct Socket(*mut bpf_sock);

impl Socket {
    #[inline(always)]
    fn find(ctx: &XdpContext, flow: &Flow, ipv4: bool) -> Option<Self> {
        let [source_port, destination_port] = halves(flow.ports);
        let mut tuple;
        let length;
        if ipv4 {
            let ends = bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1 {
                saddr: flow.source.ipv4_word(),
                daddr: flow.destination.ipv4_word(),
                sport: source_port,
                dport: destination_port,
            };
            length = size_of_val(&ends);
            tuple = bpf_sock_tuple {
                __bindgen_anon_1: bpf_sock_tuple__bindgen_ty_1 { ipv4: ends },
            };
        } else {
            let ipv6 = bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2 {
                saddr: quarters(flow.source),
                daddr: quarters(flow.destination),
                sport: source_port,
                dport: destination_port,
            };
            length = size_of_val(&ipv6);
            tuple = bpf_sock_tuple {
                __bindgen_anon_1: bpf_sock_tuple__bindgen_ty_1 { ipv6 },
            };
        }
        // SAFETY: `ctx` is the context that the kernel passed in. The tuple is on the stack and has `length` bytes.
        let socket = unsafe {
            bpf_skc_lookup_tcp(
                ctx.ctx.cast(),
                &raw mut tuple,
                length as u32,
                i64::from(BPF_F_CURRENT_NETNS) as u64,
                0,
            )
        };
        (!socket.is_null()).then_some(Self(socket))
    }

    #[inline(always)]
    fn state(&self) -> u32 {
        // SAFETY: the reference keeps the socket alive.
        unsafe { (*self.0).state }
    }

    /// For a listener: it knows the flow if the segment carries a valid SYN cookie of its own.
    #[inline(always)]
    fn cookie(&self, segment: &Segment<Packet>) -> Evidence {
        let header = match segment.ipv4 {
            true => segment.packet.bytes::<IPV4>(),
            false => segment.packet.bytes::<IPV6>(),
        };
        let (Some(header), Some(tcp)) = (header, segment.segment.bytes::<TCP>()) else {
            return Evidence::Nothing;
        };
        let length = if segment.ipv4 { IPV4 } else { IPV6 };
        // SAFETY: `bytes` checked that both headers, with these lengths, are within the packet.
        let answer = unsafe {
            bpf_tcp_check_syncookie(
                self.0.cast(),
                ptr::with_exposed_provenance_mut(header),
                length as u32,
                ptr::with_exposed_provenance_mut(tcp),
                TCP as u32,
            )
        };
        match answer {
            0 => Evidence::Known,
            _ => Evidence::Nothing,
        }
    }

    /// For a request socket: it knows the flow if `sequence` is that of its own SYN-ACK.
    #[inline(always)]
    fn request(&self, sequence: Option<u32>, snt_isn: u32) -> Evidence {
        if snt_isn == 0 {
            return Evidence::Known;
        }
        // SAFETY: the helper takes a referenced socket.
        let request = unsafe { bpf_skc_to_tcp_request_sock(self.0.cast()) };
        if request.is_null() {
            return Evidence::Weak;
        }
        // SAFETY: the offset comes from the kernel's BTF, and the verifier checks the load against it.
        let sent = unsafe { *(request.cast::<u8>().add(snt_isn as usize).cast::<u32>()) };
        if sequence == Some(sent) {
            Evidence::Known
        } else {
            Evidence::Weak
        }
    }

    #[inline(always)]
    fn release(self) {
        // SAFETY: the reference is not used afterwards.
        unsafe { bpf_sk_release(self.0.cast()) };
    }
}

/// Source and destination port, in wire order, from the word that was loaded from the segment.
#[inline(always)]
fn halves(ports: u32) -> [u16; 2] {
    [ports as u16, (ports >> 16) as u16]
}

/// An IPv6 address as four words loaded from memory.
#[inline(always)]
fn quarters(Address([high, low]): Address) -> [u32; 4] {
    [
        high as u32,
        (high >> 32) as u32,
        low as u32,
        (low >> 32) as u32,
    ]
}
