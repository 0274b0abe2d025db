//! The program `pass`, which passes every frame. A veth accepts frames from its peer's native XDP_TX
//! only if it has a native XDP program itself (`veth_xdp_xmit`, since Linux 4.19).

#![no_std]
#![no_main]

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
// Links the crate's panic handler.
use balancer_ebpf as _;

/// Passes the frame.
#[xdp(frags)]
pub fn pass(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
