//! System calls of bpf(2) that aya has no words for.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_UPDATE_BATCH: libc::c_int = 26;
const BPF_MAP_TYPE_ARRAY: u32 = 2;

/// The kernel's own number for an operation that a map has not; the C library has no name for it.
const ENOTSUPP: i32 = 524;

/// The part of `union bpf_attr` that `BPF_MAP_CREATE` uses.
#[repr(C)]
struct Create {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// The part of `union bpf_attr` that `BPF_MAP_UPDATE_ELEM` uses.
#[repr(C)]
struct Update {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The part of `union bpf_attr` that `BPF_MAP_UPDATE_BATCH` uses.
#[repr(C)]
struct UpdateBatch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Makes an array of `max_entries` values of `value_size` bytes each, all zero.
///
/// # Errors
///
/// When the kernel refuses.
pub(super) fn create_array(max_entries: u32, value_size: u32, flags: u32) -> io::Result<OwnedFd> {
    let mut attributes = Create {
        map_type: BPF_MAP_TYPE_ARRAY,
        key_size: size_of::<u32>() as u32,
        value_size,
        max_entries,
        map_flags: flags,
    };
    // SAFETY: these are the attributes of the command, and no pointer is among them.
    let made = unsafe { bpf(BPF_MAP_CREATE, &mut attributes)? };
    // SAFETY: the kernel has just given this descriptor to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(made as i32) })
}

/// Writes values of a map by their keys: with one system call, where the kernel has it for this kind of map.
///
/// An update of an array of maps returns only after every running program has left (`maybe_wait_bpf_programs`): one wait for all
/// of them from Linux 6.8 on, one each before.
///
/// # Errors
///
/// When the kernel refuses; what it has taken before stays.
///
/// # Panics
///
/// When the values' length is no multiple of the keys' number.
pub(super) fn update_all(map: BorrowedFd<'_>, keys: &[u32], values: &[u8]) -> io::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let value_size = values.len() / keys.len();
    assert_eq!(
        value_size * keys.len(),
        values.len(),
        "a value for each key"
    );
    let mut batch = UpdateBatch {
        in_batch: 0,
        out_batch: 0,
        keys: keys.as_ptr() as u64,
        values: values.as_ptr() as u64,
        count: keys.len() as u32,
        map_fd: map.as_raw_fd() as u32,
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: `keys` and `values` hold `count` keys of four bytes and values of the map's size, as every caller's map has, and the
    // kernel reads them only while the call lasts.
    match unsafe { bpf(BPF_MAP_UPDATE_BATCH, &mut batch) } {
        Ok(_) => return Ok(()),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | ENOTSUPP)) => {}
        Err(error) => return Err(error),
    }
    for (key, value) in keys.iter().zip(values.chunks_exact(value_size)) {
        let mut one = Update {
            map_fd: map.as_raw_fd() as u32,
            padding: 0,
            key: std::ptr::from_ref(key) as u64,
            value: value.as_ptr() as u64,
            flags: 0,
        };
        // SAFETY: as above, of one key and its value.
        unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut one)? };
    }
    Ok(())
}

/// # Safety
///
/// `attributes` must be those of the command, and what they point to must be valid while the call lasts.
unsafe fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: the caller's promise; the kernel is told the size of the attributes, and keeps nothing of them.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    match done {
        0.. => Ok(done),
        _ => Err(io::Error::last_os_error()),
    }
}
