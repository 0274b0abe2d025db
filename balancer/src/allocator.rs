//! Settings of glibc's allocator: freed memory is the kernel's again.

/// From so many bytes on, a block is mapped by itself, and unmapped when it is freed: a page for Prometheus is, and no table of owners or histories.
const MMAP_THRESHOLD: libc::c_int = 512 * 1024;

/// Has glibc keep freed memory in one place instead of one for each thread, and give large blocks back: a daemon of thousands of
/// backends would hold many times what its largest answer takes.
pub(crate) fn give_memory_back() {
    // SAFETY: no other thread runs yet; what glibc refuses, it leaves as it is.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    }
}
