//! What the kernel programs share: packet memory, and counting.
//!
//! The programs are thin: they reach packet memory and maps, and call `balancer-common` to decide.

#![no_std]
#![feature(asm_experimental_arch)]

pub mod counter;
pub mod packet;

/// A program has no way to panic that the verifier would accept, and so never does.
#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
