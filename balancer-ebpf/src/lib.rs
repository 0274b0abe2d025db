//! What the kernel programs are made of: packet memory, sockets, marks, and counting.
//!
//! The programs are thin: they reach packet memory and maps, and call `balancer-common` to decide.

#![no_std]
#![feature(asm_experimental_arch)]

pub mod counter;
pub mod mark;
pub mod packet;
pub mod sockets;
pub mod tail;

/// A program has no way to panic that the verifier would accept, and so never does.
#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
