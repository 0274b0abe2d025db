//! The lock that keeps a second daemon out of a state directory.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::StateDirError;

/// Held by the daemon that uses the directory; holds its process id, for the message to a second one.
pub(super) const LOCK: &str = "lock";

/// Takes the directory's lock, or says who has it. The kernel gives it back when the process ends, however it ends.
pub(super) fn lock(dir: &Path) -> Result<File, StateDirError> {
    let path = dir.join(LOCK);
    let mut file = open_lock(&path).map_err(StateDirError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message.
            let _ = file.read_to_string(&mut holder);
            return Err(StateDirError::InUse {
                dir: dir.to_owned(),
                holder: holder.trim().to_owned(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(StateDirError::io("lock", &path)(source)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(StateDirError::io("write", &path))?;
    Ok(file)
}

/// A file that is there to be locked, made if it is missing.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options.open(path)
}
