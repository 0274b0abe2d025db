//! Turns an ICMP echo request into its reply, in place.

use balancer_common::{Frame as _, FrameMut as _, Reason, echo::Reply, frame::swap_macs};
use balancer_ebpf::packet::Packet;

/// `tags`: bytes of VLAN tags, which are kept.
#[inline(always)]
pub(crate) fn answer(packet: Packet, tags: usize, reply: &Reply) -> Reason {
    let (Some(first), Some(second)) = (packet.read(0), packet.read(8)) else {
        return Reason::ShortFrame;
    };
    let behind = packet.skip(tags);
    if reply.ipv4 {
        let Some(mut head) = behind.head::<{ Reply::IPV4_REACH }>() else {
            return Reason::BadTotalLength;
        };
        reply.write(&mut head);
    } else {
        let Some(mut head) = behind.head::<{ Reply::IPV6_REACH }>() else {
            return Reason::BadTotalLength;
        };
        reply.write(&mut head);
    }
    let Some(mut head) = packet.head::<12>() else {
        return Reason::ShortFrame;
    };
    let (first, second) = swap_macs((first, second));
    head.write(0, first);
    head.write(8, second);
    Reason::EchoAnswered
}
