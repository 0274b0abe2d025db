//! Entering a network namespace.

use std::{fs::File, io, os::unix::fs::MetadataExt, panic, path::Path, thread};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
};

use super::NetnsError;

/// Which namespace a path leads to: the device and inode of its file.
///
/// A restarted container has the same path and another identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The device that holds the file.
    pub device: u64,
    /// The file's number on that device.
    pub inode: u64,
}

/// Which namespace `path` leads to now.
pub fn identity(path: &Path) -> io::Result<Identity> {
    let file = path.metadata()?;
    Ok(Identity {
        device: file.dev(),
        inode: file.ino(),
    })
}

/// Runs `work` inside the network namespace at `path` and returns what it returns.
///
/// A fresh thread enters the namespace and ends with the work, so no other thread ever leaves its own. Blocks until
/// the work is done; sockets opened by the work stay in the namespace. A panic of the work goes on in the caller.
pub fn on_netns<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, || {
                enter(path)?;
                Ok(work())
            });
        let thread = thread.map_err(|source| NetnsError::Enter {
            path: path.to_owned(),
            source,
        })?;
        thread
            .join()
            .unwrap_or_else(|cause| panic::resume_unwind(cause))
    })
}

/// As [`on_netns`], for asynchronous work: runs it to its end on a small runtime of its own.
///
/// May be called from a task of another runtime, whose thread it blocks.
pub fn block_on_netns<T: Send, F: Future<Output = T>>(
    path: &Path,
    work: impl FnOnce() -> F + Send,
) -> Result<T, NetnsError> {
    on_netns(path, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(runtime.block_on(async { work().await }))
    })?
    .map_err(|source| NetnsError::Netlink {
        path: path.to_owned(),
        source,
    })
}

/// Moves the calling thread, for good.
fn enter(path: &Path) -> Result<(), NetnsError> {
    let path_buf = || path.to_owned();
    let file = File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => NetnsError::Missing { path: path_buf() },
        io::ErrorKind::PermissionDenied => NetnsError::Denied { path: path_buf() },
        _ => NetnsError::Enter {
            path: path_buf(),
            source,
        },
    })?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
        Errno::EPERM => NetnsError::Denied { path: path_buf() },
        Errno::EINVAL => NetnsError::NotANamespace { path: path_buf() },
        _ => NetnsError::Enter {
            path: path_buf(),
            source: errno.into(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::scratch::ScratchNetns;

    fn own() -> Identity {
        identity(Path::new("/proc/thread-self/ns/net"))
            .expect("every thread has a network namespace")
    }

    // Promise: A7
    #[test]
    fn work_runs_inside_the_namespace_and_the_caller_stays_outside() {
        let netns = ScratchNetns::new();
        let before = own();
        let inside = on_netns(netns.path(), own).expect("enter");
        assert_eq!(inside, identity(netns.path()).expect("identity"));
        assert_ne!(inside, before);
        assert_eq!(own(), before);
    }

    // Promise: A7
    #[test]
    fn two_namespaces_have_two_identities_and_one_keeps_its_own() {
        let (one, other) = (ScratchNetns::new(), ScratchNetns::new());
        assert_ne!(
            identity(one.path()).expect("one"),
            identity(other.path()).expect("other")
        );
        assert_eq!(
            identity(one.path()).expect("one"),
            identity(one.path()).expect("again")
        );
    }

    #[test]
    fn a_path_with_nothing_behind_it_is_called_missing() {
        let error = on_netns(Path::new("/run/netns/no-such-instance"), || ())
            .expect_err("nothing is there");
        assert!(matches!(error, NetnsError::Missing { .. }), "{error}");
        assert!(
            error.to_string().contains("/run/netns/no-such-instance"),
            "{error}"
        );
    }

    #[test]
    fn a_plain_file_is_no_namespace_and_its_work_does_not_run() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut ran = false;
        let error = on_netns(file.path(), || ran = true).expect_err("a file is no namespace");
        assert!(matches!(error, NetnsError::NotANamespace { .. }), "{error}");
        assert!(!ran);
    }

    #[test]
    fn a_namespace_of_another_kind_is_refused() {
        let error = on_netns(Path::new("/proc/self/ns/uts"), || ()).expect_err("a uts namespace");
        assert!(matches!(error, NetnsError::NotANamespace { .. }), "{error}");
    }

    #[test]
    fn a_caller_without_the_right_to_open_it_is_told_so() {
        let file = tempfile::NamedTempFile::new().expect("a file for its owner alone");
        let path = file.path().to_owned();
        // Only this thread's file accesses become nobody's.
        let error = thread::spawn(move || {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
            enter(&path)
        });
        let error = error.join().expect("no panic").expect_err("nobody may not");
        assert!(matches!(error, NetnsError::Denied { .. }), "{error}");
    }

    #[test]
    fn a_panic_of_the_work_reaches_the_caller() {
        let netns = ScratchNetns::new();
        let outcome =
            panic::catch_unwind(|| on_netns(netns.path(), || panic!("the work's own words")));
        let cause = outcome.expect_err("the panic goes on");
        assert_eq!(cause.downcast_ref::<&str>(), Some(&"the work's own words"));
    }

    #[test]
    fn asynchronous_work_may_be_awaited_inside_from_within_a_runtime() {
        let netns = ScratchNetns::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("runtime");
        let inside = runtime.block_on(async {
            block_on_netns(netns.path(), || async {
                tokio::task::yield_now().await;
                own()
            })
        });
        assert_eq!(
            inside.expect("enter"),
            identity(netns.path()).expect("identity")
        );
    }
}
