//! The objects of the kernel programs that only tests and benchmarks load, as `build.rs` left them.

use aya::include_bytes_aligned;

/// An object with the one XDP program `pass`, which lets every frame through: a veth accepts what
/// its peer's native XDP transmits only while it has a native program itself.
pub static PASS_OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/pass"));

/// The drivers and floors that the bench measures the others with.
pub static BENCH_OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bench"));
