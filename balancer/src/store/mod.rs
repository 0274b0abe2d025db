//! The state file: what a daemon remembers over restarts and crashes.
//!
//! The directory holds `state` and the one before it, `state.previous`. A new state is written whole to
//! `state.new`, made durable, and moved into place, so that a crash at any moment leaves a whole one.

mod alive;
mod envelope;
mod error;
mod stored;

#[cfg(test)]
mod tests;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    marker::PhantomData,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

pub use alive::{is_alive, show_alive};
pub use error::StoreError;
pub use stored::Stored;

const CURRENT: &str = "state";
const PREVIOUS: &str = "state.previous";
const NEW: &str = "state.new";
/// A damaged file, set aside for people to look at.
const DAMAGED: &str = "state.damaged";
/// Held by the daemon that uses the directory; holds its process id, for the message to a second one.
const LOCK: &str = "lock";

/// The state directory of a running daemon. No other daemon can open it as long as this lives.
#[derive(Debug)]
pub struct Store<S> {
    dir: PathBuf,
    warning: Option<String>,
    kept: PhantomData<fn() -> S>,
    /// Closing it gives the lock back.
    _lock: File,
}

impl<S: Stored> Store<S> {
    /// Opens a state directory, makes it if need be, and reads the state that was saved last.
    ///
    /// When `state` is missing or damaged, the state before it is taken, and [`Store::warning`] says so.
    ///
    /// # Errors
    ///
    /// When another daemon uses the directory, when no whole state is left, when a newer version wrote
    /// the file, and when the file system refuses.
    pub fn open(dir: &Path) -> Result<(Self, Option<S>), StoreError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(StoreError::io("make the directory", dir))?;
        let lock = lock(dir)?;
        let mut store = Self {
            dir: dir.to_owned(),
            warning: None,
            kept: PhantomData,
            _lock: lock,
        };

        let current = match store.read(CURRENT)? {
            Some(Ok(state)) => return Ok((store, Some(state))),
            Some(Err(why)) => Some(why),
            None => None,
        };
        let state = match (current, store.read(PREVIOUS)?) {
            (None, None) => None,
            (None, Some(Ok(state))) => {
                // What a crash in the middle of a save leaves, too: then nothing is lost.
                let found = format!("no `{CURRENT}` in {}: took `{PREVIOUS}`", dir.display());
                store.warning = Some(format!("{found}, {}", state.name()));
                Some(state)
            }
            (Some(why), Some(Ok(state))) => {
                // Aside, or the next save would put it in the place of the whole one.
                store.rename(CURRENT, DAMAGED)?;
                store.sync()?;
                store.warning = Some(format!(
                    "`{CURRENT}` in {} is damaged ({why}) and now called `{DAMAGED}`: took `{PREVIOUS}`, \
                     {}; the last change before the restart may be missing, so look at `{}`",
                    dir.display(),
                    state.name(),
                    S::LOOK
                ));
                Some(state)
            }
            (current, previous) => {
                return Err(StoreError::Damaged {
                    dir: dir.to_owned(),
                    current: current.unwrap_or_else(|| "missing".into()),
                    previous: match previous {
                        Some(Err(why)) => why,
                        _ => "missing".into(),
                    },
                });
            }
        };
        Ok((store, state))
    }

    /// What was wrong with the state file when it was opened; for the log and for `lbctl status`.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Makes `state` the one that the next start finds. When this returns, it is on the disk.
    ///
    /// # Errors
    ///
    /// When the file system refuses; the state saved before is then still there.
    pub fn save(&self, state: &S) -> Result<(), StoreError> {
        self.write_new(&envelope::seal(state))?;
        self.keep_previous()?;
        self.rename(NEW, CURRENT)?;
        self.sync()
    }

    /// First part of a save: the new state, whole and durable under a name that nobody reads.
    fn write_new(&self, content: &[u8]) -> Result<(), StoreError> {
        let path = self.dir.join(NEW);
        let write = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&path)?;
            file.write_all(content)?;
            file.sync_all()
        };
        write().map_err(StoreError::io("write", &path))
    }

    /// Second part: the state until now becomes the previous one.
    fn keep_previous(&self) -> Result<(), StoreError> {
        match self.rename(CURRENT, PREVIOUS) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(())
            }
            other => other,
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let from = self.dir.join(from);
        fs::rename(&from, self.dir.join(to)).map_err(StoreError::io("rename", &from))
    }

    fn sync(&self) -> Result<(), StoreError> {
        let sync = || File::open(&self.dir)?.sync_all();
        sync().map_err(StoreError::io("make durable", &self.dir))
    }

    /// The state in a file, or why it is damaged; `None` when there is no such file.
    fn read(&self, name: &str) -> Result<Option<Result<S, String>>, StoreError> {
        let path = self.dir.join(name);
        let content = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            content => content.map_err(StoreError::io("read", &path))?,
        };
        match envelope::open(&content) {
            Ok(state) => Ok(Some(Ok(state))),
            Err(envelope::Unreadable::Damaged(why)) => Ok(Some(Err(why))),
            Err(envelope::Unreadable::Newer(version)) => Err(StoreError::Newer {
                path,
                version,
                known: envelope::VERSION,
            }),
        }
    }
}

/// Takes the directory's lock, or says who has it. The kernel gives it back when the process ends, however it ends.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let mut file = open_lock(&path).map_err(StoreError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message.
            let _ = file.read_to_string(&mut holder);
            return Err(StoreError::InUse {
                dir: dir.to_owned(),
                holder: holder.trim().to_owned(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(StoreError::io("lock", &path)(source)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(StoreError::io("write", &path))?;
    Ok(file)
}

/// A file that is there to be locked, made if it is missing.
fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options.open(path)
}
