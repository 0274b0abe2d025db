//! What the sockets of a network namespace know of a TCP segment's flow.

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
};

use crate::packet::Packet;

/// Bytes of an IPv4 header's, an IPv6 header's and a TCP header's fixed part.
const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;

/// Asks the namespace of the interface that the frame came in by. `snt_isn` is where the kernel's `tcp_request_sock` keeps
/// the sequence number of its SYN-ACK, in bytes; 0 if that is not known.
#[inline(always)]
pub fn knows(ctx: &XdpContext, segment: &Segment<Packet>, snt_isn: u32) -> Evidence {
    let Some(socket) = Socket::find(ctx, segment) else {
        return Evidence::Nothing;
    };
    let evidence = match socket.state() {
        BPF_TCP_LISTEN => socket.cookie(segment),
        BPF_TCP_NEW_SYN_RECV => socket.request(segment, snt_isn),
        BPF_TCP_TIME_WAIT => Evidence::Weak,
        _ => Evidence::Known,
    };
    socket.release();
    evidence
}

/// A reference to a socket, which must be released.
struct Socket(*mut bpf_sock);

impl Socket {
    #[inline(always)]
    fn find(ctx: &XdpContext, segment: &Segment<Packet>) -> Option<Self> {
        let [source_port, destination_port] = halves(segment.ports);
        let mut tuple;
        let length;
        if segment.ipv4 {
            let ipv4 = bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1 {
                saddr: segment.source.ipv4_word(),
                daddr: segment.destination.ipv4_word(),
                sport: source_port,
                dport: destination_port,
            };
            length = size_of_val(&ipv4);
            tuple = bpf_sock_tuple {
                __bindgen_anon_1: bpf_sock_tuple__bindgen_ty_1 { ipv4 },
            };
        } else {
            let ipv6 = bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2 {
                saddr: quarters(segment.source),
                daddr: quarters(segment.destination),
                sport: source_port,
                dport: destination_port,
            };
            length = size_of_val(&ipv6);
            tuple = bpf_sock_tuple {
                __bindgen_anon_1: bpf_sock_tuple__bindgen_ty_1 { ipv6 },
            };
        }
        // SAFETY: the context is the one that the kernel gave this program; the tuple is on the stack, and as long as said.
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
        // SAFETY: the kernel keeps a referenced socket.
        unsafe { (*self.0).state }
    }

    /// A listener knows the flow if the segment answers a SYN cookie of its own.
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
        // SAFETY: both headers were checked to be within the packet, with these lengths.
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

    /// A request knows the flow if the segment answers its own SYN-ACK, and not that of another backend.
    #[inline(always)]
    fn request(&self, segment: &Segment<Packet>, snt_isn: u32) -> Evidence {
        if snt_isn == 0 {
            return Evidence::Known;
        }
        // SAFETY: takes a referenced socket.
        let request = unsafe { bpf_skc_to_tcp_request_sock(self.0.cast()) };
        if request.is_null() {
            return Evidence::Weak;
        }
        // SAFETY: the kernel's own type information has the field there, and the verifier checks it.
        let sent = unsafe { *(request.cast::<u8>().add(snt_isn as usize).cast::<u32>()) };
        let acknowledged = segment.segment.read(8).map(u32::from_be);
        if acknowledged == Some(sent.wrapping_add(1)) {
            Evidence::Known
        } else {
            Evidence::Weak
        }
    }

    #[inline(always)]
    fn release(self) {
        // SAFETY: the reference is not used after this.
        unsafe { bpf_sk_release(self.0.cast()) };
    }
}

/// The two ports, in wire order, of a word loaded from a segment.
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
