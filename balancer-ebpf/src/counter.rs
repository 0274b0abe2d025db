//! Counting in per-CPU rows, which no other CPU writes.

use aya_ebpf::maps::PerCpuArray;
use balancer_common::{Reason, abi::Traffic};

/// Adds a packet of `bytes` to the row `index`; gives the row's packets.
#[inline(always)]
pub fn count(rows: &PerCpuArray<Traffic>, index: u32, bytes: u64) -> u64 {
    let Some(row) = rows.get_ptr_mut(index) else {
        return 0;
    };
    // SAFETY: a per-CPU row is this CPU's alone, and a program is not preempted by itself; the
    // kernel keeps the memory for as long as the program runs.
    let row = unsafe { &mut *row };
    row.packets += 1;
    row.bytes += bytes;
    row.packets
}

/// Counts a packet of `bytes` that met `reason`; gives how many have.
#[inline(always)]
pub fn count_reason(rows: &PerCpuArray<Traffic>, reason: Reason, bytes: u64) -> u64 {
    count(rows, reason as u32, bytes)
}
