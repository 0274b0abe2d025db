//! Per-CPU counters. Only the own CPU writes a row, so no atomics are needed.

use aya_ebpf::maps::PerCpuArray;
use balancer_common::{Reason, abi::Traffic};

/// Adds one packet of `bytes` to row `index`. Returns the packets of that row on this CPU.
#[inline(always)]
pub fn count(rows: &PerCpuArray<Traffic>, index: u32, bytes: u64) -> u64 {
    let Some(row) = rows.get_ptr_mut(index) else {
        return 0;
    };
    // SAFETY: only this CPU accesses its row, and XDP programs do not preempt each other on a CPU. The
    // kernel keeps the memory for as long as the program runs.
    let row = unsafe { &mut *row };
    row.packets += 1;
    row.bytes += bytes;
    row.packets
}

/// Counts a packet of `bytes` under `reason`. Returns how many packets this CPU has counted there.
#[inline(always)]
pub fn count_reason(rows: &PerCpuArray<Traffic>, reason: Reason, bytes: u64) -> u64 {
    count(rows, reason as u32, bytes)
}
