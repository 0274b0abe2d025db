//! What of maps aya has no call for: memory of arrays, inner maps by number, and rows as words.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr::{self, NonNull},
    slice,
    sync::atomic::AtomicU64,
};

/// Commands of `bpf(2)`.
const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_DELETE_ELEM: libc::c_int = 3;
const BPF_MAP_GET_FD_BY_ID: libc::c_int = 14;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_MAP_UPDATE_BATCH: libc::c_int = 26;

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;

/// What an array that can be mapped is created with (`BPF_F_MMAPABLE`).
pub(super) const MMAPABLE: u32 = 1 << 10;

/// What the kernel calls "this kind of map has no such command", which no C library knows.
const ENOTSUPP: i32 = 524;

/// The memory of an array that was created with [`MMAPABLE`], shared with the kernel's programs.
#[derive(Debug)]
pub(super) struct Mapping {
    words: NonNull<AtomicU64>,
    length: usize,
}

// SAFETY: the memory is the map's, which the mapping itself keeps; it is only read and written as atomic words.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `length` words of 8 bytes of the array; the map's descriptor is no longer needed afterwards.
    pub(super) fn new(map: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        // SAFETY: asks for new addresses, so that no memory of this process changes.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length * size_of::<u64>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let words = NonNull::new(address.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { words, length })
    }

    /// The array's bytes as words.
    pub(super) fn words(&self) -> &[AtomicU64] {
        // SAFETY: so many words were mapped, readable, writable and aligned to a page, and they stay until `self` is gone.
        // The kernel and its programs change them meanwhile, which atomic words allow.
        unsafe { slice::from_raw_parts(self.words.as_ptr(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the addresses are those that were mapped, and nothing borrows them any more.
        unsafe { libc::munmap(self.words.as_ptr().cast(), self.length * size_of::<u64>()) };
    }
}

/// The part of `union bpf_attr` for one element.
#[repr(C)]
#[derive(Default)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl Element {
    /// That of a map at an index, with the address of its value, 0 for none. Both are to live longer than the call.
    fn at(map: BorrowedFd<'_>, index: &u32, value: u64) -> Self {
        Self {
            map: map.as_raw_fd() as u32,
            key: (&raw const *index).expose_provenance() as u64,
            value,
            ..Self::default()
        }
    }
}

/// The part of `union bpf_attr` for many elements.
#[repr(C)]
#[derive(Default)]
struct Batch {
    from: u64,
    to: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// The part of `union bpf_attr` for an object by its id.
#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// The part of `union bpf_attr` for a new map.
#[repr(C)]
#[derive(Default)]
struct Create {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner: u32,
    numa_node: u32,
    name: [u8; 16],
}

/// Makes an array that can be mapped, all zero. Of the name the kernel keeps 15 bytes.
pub(super) fn create_array(name: &str, value_bytes: usize, rows: u32) -> io::Result<OwnedFd> {
    let mut create = Create {
        map_type: ARRAY,
        key_size: 4,
        value_size: value_bytes as u32,
        max_entries: rows,
        flags: MMAPABLE,
        ..Create::default()
    };
    for (to, from) in create.name[..15].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    // SAFETY: the attributes point to nothing.
    let fd = unsafe { bpf(BPF_MAP_CREATE, &mut create) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The number of the inner map at an index; `None` if there is none.
pub(super) fn inner_map(outer: BorrowedFd<'_>, index: u32) -> io::Result<Option<u32>> {
    let mut id = 0_u32;
    let value = (&raw mut id).expose_provenance() as u64;
    let mut element = Element::at(outer, &index, value);
    // SAFETY: key and value of a map of maps are of 4 bytes, and so are these, which live longer than the call.
    match unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut element) } {
        Ok(_) => Ok(Some(id)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Stores an inner map at an index. Returns when every packet that may have met the one before has left the programs.
pub(super) fn set_inner_map(
    outer: BorrowedFd<'_>,
    index: u32,
    inner: BorrowedFd<'_>,
) -> io::Result<()> {
    let inner = inner.as_raw_fd();
    let value = (&raw const inner).expose_provenance() as u64;
    let mut element = Element::at(outer, &index, value);
    // SAFETY: as in `inner_map`; the kernel only reads here.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut element) }.map(drop)
}

/// The same of several, with one wait for packets at the end where the kernel can (Linux 6.8 and later).
pub(super) fn set_inner_maps(
    outer: BorrowedFd<'_>,
    indices: &[u32],
    inner: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let values: Vec<i32> = inner.iter().map(AsRawFd::as_raw_fd).collect();
    let count = indices.len().min(values.len());
    let mut batch = Batch {
        keys: indices.as_ptr().expose_provenance() as u64,
        values: values.as_ptr().expose_provenance() as u64,
        count: count as u32,
        map: outer.as_raw_fd() as u32,
        ..Batch::default()
    };
    // SAFETY: keys and values of a map of maps are of 4 bytes, there are `count` of each, and they live longer than the call.
    match unsafe { bpf(BPF_MAP_UPDATE_BATCH, &mut batch) } {
        Err(error) if is_unknown(&error) => {
            let mut each = indices.iter().zip(inner);
            each.try_for_each(|(&index, &inner)| set_inner_map(outer, index, inner))
        }
        done => done.map(drop),
    }
}

/// Takes the inner map away from an index. Returns when every packet that may have met it has left the programs.
pub(super) fn remove_inner_map(outer: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    let mut element = Element::at(outer, &index, 0);
    // SAFETY: the key of a map of maps is of 4 bytes, and so is this one, which lives longer than the call.
    match unsafe { bpf(BPF_MAP_DELETE_ELEM, &mut element) } {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => Ok(()),
    }
}

/// The part of `struct bpf_map_info` that tells a map's number.
#[repr(C)]
#[derive(Default)]
struct MapNumber {
    map_type: u32,
    id: u32,
}

/// The part of `union bpf_attr` for what is known of an object.
#[repr(C)]
struct Info {
    map: u32,
    length: u32,
    info: u64,
}

/// The number of a map.
pub(super) fn map_id(map: BorrowedFd<'_>) -> io::Result<u32> {
    let mut number = MapNumber::default();
    let mut info = Info {
        map: map.as_raw_fd() as u32,
        length: size_of::<MapNumber>() as u32,
        info: (&raw mut number).expose_provenance() as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes to `number`, which lives longer than the call.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut info) }?;
    Ok(number.id)
}

/// The map with this number. Needs `CAP_SYS_ADMIN`.
pub(super) fn map_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attributes = ById {
        id,
        ..ById::default()
    };
    // SAFETY: the attributes point to nothing.
    let fd = unsafe { bpf(BPF_MAP_GET_FD_BY_ID, &mut attributes) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Reads a row of an array, which has so many words.
pub(super) fn row(array: BorrowedFd<'_>, index: u32, words: &mut [u64]) -> io::Result<()> {
    let value = words.as_mut_ptr().expose_provenance() as u64;
    let mut element = Element::at(array, &index, value);
    // SAFETY: an array's key is of 4 bytes, its row as long as `words` by the caller's word, and both live longer than the
    // call.
    unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut element) }.map(drop)
}

/// Writes a row of an array, which has so many words.
pub(super) fn set_row(array: BorrowedFd<'_>, index: u32, words: &[u64]) -> io::Result<()> {
    let value = words.as_ptr().expose_provenance() as u64;
    let mut element = Element::at(array, &index, value);
    // SAFETY: as in `row`; the kernel only reads here.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut element) }.map(drop)
}

/// Whether the kernel does not know the command for this kind of map.
fn is_unknown(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(ENOTSUPP | libc::EOPNOTSUPP | libc::EINVAL)
    )
}

/// # Safety
///
/// The attributes are those of the command, and what they point to is as large as the kernel expects.
unsafe fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: the kernel is told the attributes' size and keeps nothing of them; the rest is the caller's promise.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    match done {
        0.. => Ok(done as i32),
        _ => Err(io::Error::last_os_error()),
    }
}
