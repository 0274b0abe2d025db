//! Building blocks of the kernel programs: packet access, socket look-up, marks, counters and tail calls.
//!
//! The programs are thin: they access packet memory and maps, and call `balancer-common` for every decision.

#![no_std]
#![feature(asm_experimental_arch)]

pub mod counter;
pub mod mark;
pub mod packet;
pub mod sockets;
pub mod tail_call;

/// Never reached: the verifier would reject a program that could panic.
#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
