//! The program `balance_slow`, the slow path of `balance`.

use aya_ebpf::{macros::xdp, programs::XdpContext};
use balancer_common::{
    Frame as _, Reason,
    abi::Backend,
    slow_path::{self, Fate},
    tags::{self, Tags},
};
use balancer_ebpf::packet::Packet;

use crate::{
    echo,
    maps::{HASH_KEY, MEMBERS, Maps},
    send::{Link, ingress, transmit},
    verdict::refuse,
};

/// The VLAN tags of a frame: those that it arrived with, and those that it leaves with.
struct Tagged {
    came: Tags,
    leave: Tags,
}

impl Link for Tagged {
    #[inline(always)]
    fn kind(&self, backend: &Backend) -> u8 {
        backend.kind()
    }

    #[inline(always)]
    fn give_up(&self, _: &XdpContext) {}

    #[inline(always)]
    fn growth(&self) -> i32 {
        self.leave.length as i32 - self.came.length as i32
    }

    #[inline(always)]
    fn behind(&self, packet: Packet) -> Packet {
        packet.skip(self.leave.length)
    }

    #[inline(always)]
    fn write(&self, packet: Packet, backend: &Backend) -> Result<(), Reason> {
        let mut head = packet
            .head::<{ 12 + tags::LONGEST }>()
            .ok_or(Reason::NoHeadroom)?;
        let [first, second] = backend.macs;
        self.leave.write(&mut head, (first, second as u32));
        Ok(())
    }
}

/// The interface on which the frame's tags are valid: the ingress interface, or the bond of which it is a member.
#[inline(always)]
fn wire(ctx: &XdpContext, came: &Tags) -> u32 {
    let ingress = ingress(ctx);
    if came.length == 0 {
        return ingress;
    }
    // SAFETY: the value is copied before anything can change it.
    unsafe { MEMBERS.get(&ingress).copied() }.unwrap_or(ingress)
}

/// Balances the frames that `balance` cannot parse, and those that leave with VLAN tags.
#[xdp(frags)]
pub fn balance_slow(ctx: XdpContext) -> u32 {
    let packet = Packet::of(&ctx);
    let bytes = packet.whole_length() as u64;
    let came = Tags::read(packet);
    let outcome = match slow_path::judge(packet, &came, &Maps, &HASH_KEY.load()) {
        Ok(Fate::Answered(reply)) => Err(echo::answer(packet, came.length, &reply)),
        Ok(Fate::Sent(choice)) => {
            let leave = match Tags::of(choice.backend) {
                Some(tags) => tags,
                None => came.leaving_by(choice.backend.interface, wire(&ctx, &came)),
            };
            transmit(&ctx, &choice, &Tagged { came, leave })
        }
        Err(reason) => Err(reason),
    };
    match outcome {
        Ok(action) => action,
        Err(reason) => refuse(&ctx, reason, bytes),
    }
}
