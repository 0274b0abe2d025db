//! A sign of life for the guard: a lock that a daemon holds while it is ready, however it ends.
//!
//! Another file than the one that keeps a second daemon out: looking at it must not refuse a daemon that
//! is just starting, and a daemon that dies again and again before it is ready gives no sign.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

use super::{StateDirError, lock::open_lock};

const ALIVE: &str = "alive";

/// The sign of life in this state directory; it lasts as long as this does, and ends with the process.
///
/// # Errors
///
/// When the file system refuses.
pub fn show_alive(dir: &Path) -> Result<File, StateDirError> {
    let path = dir.join(ALIVE);
    let file = open_lock(&path).map_err(StateDirError::io("open", &path))?;
    // Waits for nobody but a guard that is just looking.
    file.lock().map_err(StateDirError::io("lock", &path))?;
    Ok(file)
}

/// Whether a daemon with this state directory is ready.
///
/// # Errors
///
/// When the file system refuses.
pub fn is_alive(dir: &Path) -> Result<bool, StateDirError> {
    let path = dir.join(ALIVE);
    let file = match open_lock(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(StateDirError::io("open", &path)(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(StateDirError::io("lock", &path)(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_life_lasts_as_long_as_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_alive(directory.path()).unwrap());
        let sign = show_alive(directory.path()).unwrap();
        assert!(is_alive(directory.path()).unwrap());
        // Looking takes nothing away.
        assert!(is_alive(directory.path()).unwrap());
        drop(sign);
        assert!(!is_alive(directory.path()).unwrap());
        assert!(!is_alive(&directory.path().join("missing")).unwrap());
    }
}
