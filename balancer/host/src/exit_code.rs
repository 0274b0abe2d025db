//! The exit codes that all daemons share.

use std::io::ErrorKind::PermissionDenied;

use crate::state_dir::StateDirError;

/// Anything that has no code of its own.
pub const ERROR: u8 = 1;

/// The configuration is wrong.
pub const CONFIGURATION: u8 = 2;

/// Another daemon runs.
pub const IN_USE: u8 = 5;

/// Rights are missing.
pub const NO_PERMISSION: u8 = 9;

/// The code of a daemon that its state directory stops.
pub fn of_state_dir(error: &StateDirError) -> u8 {
    match error {
        StateDirError::InUse { .. } => IN_USE,
        StateDirError::Io { source, .. } if source.kind() == PermissionDenied => NO_PERMISSION,
        _ => ERROR,
    }
}
