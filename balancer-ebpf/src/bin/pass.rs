//! The program `pass`: lets every frame through. A veth accepts frames that its peer's native XDP
//! transmits only while it has a native XDP program itself (`veth_xdp_xmit`, Linux 4.19 on).

#![no_std]
#![no_main]

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
// Links the crate's panic handler.
use balancer_ebpf as _;

/// Lets the frame through.
#[xdp(frags)]
pub fn pass(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
