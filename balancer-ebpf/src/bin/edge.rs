//! The program `balance`, on an edge's interface: parse -> service -> slot -> backend ->
//! encapsulate -> transmit. It keeps no flow state.
//!
//! `balance` is the fast path. It tail-calls another program for frames that it does not parse, so that they cost the fast path
//! nothing.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

#[path = "edge/balance_slow.rs"]
mod balance_slow;
#[path = "edge/echo.rs"]
mod echo;
#[path = "edge/maps.rs"]
mod maps;
#[path = "edge/send.rs"]
mod send;
#[path = "edge/too_large.rs"]
mod too_large;
#[path = "edge/verdict.rs"]
mod verdict;

use aya_ebpf::{macros::xdp, programs::XdpContext};
use balancer_common::{abi::program, edge, slow_path::needs_slow_path};
use balancer_ebpf::{packet::Packet, tail_call::tail_call};

use crate::{
    maps::{Key, Maps, PROGRAMS},
    send::{Untagged, transmit},
    verdict::refuse,
};

/// Balances packets for VIPs and passes everything else.
#[xdp(frags)]
pub fn balance(ctx: XdpContext) -> u32 {
    let packet = Packet::of(&ctx);
    let bytes = packet.length() as u64;
    match edge::choose(packet, &Maps, &Key) {
        Ok(choice) => match transmit(&ctx, &choice, &Untagged) {
            Ok(action) => action,
            Err(reason) => refuse(&ctx, reason, bytes),
        },
        Err(reason) => {
            if needs_slow_path(packet, reason) {
                tail_call::<{ program::BALANCE_SLOW }>(&ctx, &PROGRAMS);
            }
            refuse(&ctx, reason, bytes)
        }
    }
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
