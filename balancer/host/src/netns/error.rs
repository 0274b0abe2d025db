//! Why a network namespace could not be entered or changed.

use std::{io, net::IpAddr, path::PathBuf};

/// Why work in a network namespace failed.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// Nothing is at the path: the container is gone, or its runtime keeps namespaces elsewhere.
    #[error("no network namespace at {}: check that the instance runs and that `netns` names its path", path.display())]
    Missing {
        /// What was asked for.
        path: PathBuf,
    },
    /// The caller may not open or enter it.
    #[error("not allowed to enter the network namespace {}: run as root or with CAP_SYS_ADMIN", path.display())]
    Denied {
        /// What was asked for.
        path: PathBuf,
    },
    /// Something else is at the path; also left behind when a namespace's mount is undone.
    #[error("{} is no network namespace: name a file such as /run/netns/NAME or /proc/PID/ns/net", path.display())]
    NotANamespace {
        /// What was asked for.
        path: PathBuf,
    },
    /// Entering it failed in another way.
    #[error("enter the network namespace {}: {source}", path.display())]
    Enter {
        /// What was asked for.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel could not be asked inside it.
    #[error("talk to the kernel in the network namespace {}: {source}", path.display())]
    Netlink {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// `lo` could not be set up.
    #[error("set `lo` up in {}: {source}", path.display())]
    Loopback {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A VIP could not be put on `lo`.
    #[error("put VIP {vip} on `lo` in {}: {source}{}", path.display(), advice(vip, source))]
    Vip {
        /// The VIP.
        vip: IpAddr,
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Container runtimes switch IPv6 off in namespaces; the kernel then only says "permission denied".
fn advice(vip: &IpAddr, source: &io::Error) -> &'static str {
    let refused = matches!(
        source.raw_os_error(),
        Some(libc::EACCES | libc::EPERM | libc::ENODEV)
    );
    if vip.is_ipv6() && refused {
        "; if IPv6 is switched off there, set net.ipv6.conf.lo.disable_ipv6=0 inside it"
    } else {
        ""
    }
}
