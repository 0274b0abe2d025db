//! What can go wrong with the kernel side, and what to do about it.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why the kernel side did not do what it was asked.
#[derive(Debug, Error)]
pub enum DataplaneError {
    /// The pin directory is on no bpffs.
    #[error(
        "{} is not on a BPF file system: mount one with `mount -t bpf bpf /sys/fs/bpf`, or set `pin_dir` to a directory on one",
        path.display()
    )]
    NoBpffs {
        /// The pin directory.
        path: PathBuf,
    },
    /// The kernel keeps names with dots to itself.
    #[error("{}: a BPF file system takes no dots in names: choose another `pin_dir`", path.display())]
    Dotted {
        /// The pin directory.
        path: PathBuf,
    },
    /// A file of the pin directory can't be made or removed.
    #[error("{}: {source}", path.display())]
    Pin {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A pinned map has another layout than this version's.
    #[error(
        "the pinned map {} has another layout ({found}) than this version needs ({expected}): `lbd detach edge --config FILE` removes what another version left",
        path.display()
    )]
    Layout {
        /// The pinned map.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// The kernel refuses for lack of rights.
    #[error(
        "no permission to load BPF programs: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
    )]
    Permission,
    /// The running kernel is older than what the programs need.
    #[error("kernel {found} is too old: Balancer needs Linux {needed} or later")]
    OldKernel {
        /// The running kernel.
        found: String,
        /// The oldest that will do.
        needed: &'static str,
    },
    /// Native XDP is not to be had on the interface.
    #[error(
        "{interface} does not take native XDP ({reason}): set `xdp_mode = \"generic\"` to use the slower generic mode"
    )]
    NoNativeXdp {
        /// The interface.
        interface: String,
        /// What the kernel said.
        reason: String,
    },
    /// Another daemon uses the pin directory.
    #[error("another lbd uses {}: stop it first, or give this one a `pin_dir` of its own", path.display())]
    InUse {
        /// The pin directory.
        path: PathBuf,
    },
    /// Another XDP program is attached to the interface.
    #[error(
        "{interface} already has an XDP program, `{name}` (id {id}): detach it first, with the tool that attached it"
    )]
    OtherProgram {
        /// The interface.
        interface: String,
        /// The program's name.
        name: String,
        /// The program's id.
        id: u32,
    },
    /// There is no room for another table.
    #[error("all {0} chunks of tables are in use: remove services first")]
    NoTableLeft(u32),
    /// Whatever else aya or the kernel said.
    #[error("{doing}: {message}")]
    Kernel {
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        message: String,
    },
}

/// Wraps what aya says with what was being done, its sources included.
pub(super) fn kernel<E: std::error::Error>(
    doing: &'static str,
) -> impl FnOnce(E) -> DataplaneError {
    move |error| {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            if is_denied(cause) {
                return DataplaneError::Permission;
            }
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        DataplaneError::Kernel { doing, message }
    }
}

/// EPERM only: with EACCES, which has the same kind, the verifier refuses a program.
fn is_denied(cause: &(dyn std::error::Error + 'static)) -> bool {
    let error = cause.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.raw_os_error() == Some(libc::EPERM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the syscall failed")]
    struct Failed(#[source] io::Error);

    fn said(number: i32) -> String {
        kernel("load the program")(Failed(io::Error::from_raw_os_error(number))).to_string()
    }

    #[test]
    fn a_missing_capability_is_told_from_a_program_that_the_verifier_refuses() {
        assert_eq!(said(libc::EPERM), DataplaneError::Permission.to_string());
        assert!(said(libc::EACCES).starts_with("load the program: the syscall failed: "));
    }
}
