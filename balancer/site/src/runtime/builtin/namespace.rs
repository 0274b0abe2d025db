//! Network namespaces: made, kept by a mount, entered.

use std::{fs::File, io, path::Path, thread};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};

use crate::runtime::RuntimeError;

/// A new namespace at `path`, which stays until the mount is undone.
pub(super) fn make(path: &Path) -> Result<(), RuntimeError> {
    let failed = |source| RuntimeError::file("make a network namespace at", path)(source);
    File::create(path).map_err(failed)?;
    on_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        let none = None::<&str>;
        mount(
            Some("/proc/thread-self/ns/net"),
            path,
            none,
            MsFlags::MS_BIND,
            none,
        )?;
        Ok(())
    })
    .map_err(failed)
}

/// Undoes the mount. Does nothing when there is none.
pub(super) fn unmake(path: &Path) -> Result<(), RuntimeError> {
    // Fails only where nothing is mounted; the file goes with its directory.
    let _ = umount2(path, MntFlags::MNT_DETACH);
    Ok(())
}

/// Runs `work` on a thread inside the namespace at `path`; in our own if `None`.
pub(super) fn inside<T: Send>(
    path: Option<&Path>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    on_thread(|| {
        if let Some(path) = path {
            setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?;
        }
        work()
    })
}

/// No other thread ever leaves its namespace.
fn on_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
