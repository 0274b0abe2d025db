//! Which maps the kernel has, without taking hold of any.

use std::io;

/// The part of `union bpf_attr` that `BPF_MAP_GET_NEXT_ID` uses, and its padding.
#[repr(C)]
struct NextId {
    start: u32,
    next: u32,
    flags: u32,
}

const BPF_MAP_GET_NEXT_ID: libc::c_int = 12;

/// The ids of all maps.
///
/// Opening a map for its name is no way to watch: while the kernel empties a map of programs that nobody holds any more,
/// whoever opens and closes it has it emptied again, and a reference is lost for good (`prog_array_map_clear`, seen on
/// Linux 6.18).
///
/// # Errors
///
/// When the kernel refuses, as it does without root's rights.
pub fn map_ids() -> io::Result<Vec<u32>> {
    let mut ids = Vec::new();
    loop {
        let mut attributes = NextId {
            start: ids.last().copied().unwrap_or_default(),
            next: 0,
            flags: 0,
        };
        // SAFETY: the kernel reads and writes the attributes, whose size it is told, and keeps nothing of them.
        let done = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_MAP_GET_NEXT_ID,
                &raw mut attributes,
                size_of::<NextId>(),
            )
        };
        if done == 0 {
            ids.push(attributes.next);
            continue;
        }
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENOENT) => Ok(ids),
            _ => Err(error),
        };
    }
}
