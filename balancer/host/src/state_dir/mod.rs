//! A daemon's state directory: its lock, its sign of life, and changes of files that are durable when they return.
//!
//! The ports `store` and `journal` keep their files in it. One daemon may use both in one directory, under one lock.

mod alive;
mod envelope;
mod error;
mod lock;
mod sealed;

#[cfg(test)]
pub(crate) mod faults;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

pub use alive::{is_alive, show_alive};
#[cfg(test)]
pub(crate) use envelope::seal;
pub use error::StateDirError;
pub(crate) use sealed::{Found, SealedFile};

/// The state directory of a running daemon. No other daemon can open it as long as this or a clone of it lives.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Closing it gives the lock back.
    _lock: Arc<File>,
    #[cfg(test)]
    faults: faults::Faults,
}

impl StateDir {
    /// Opens a state directory, and makes it if need be.
    ///
    /// # Errors
    ///
    /// When another daemon uses the directory, and when the file system refuses.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(StateDirError::io("make the directory", path))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: Arc::new(lock::lock(path)?),
            #[cfg(test)]
            faults: faults::Faults::default(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file's path.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> Result<Vec<String>, StateDirError> {
        let list = || -> io::Result<Vec<String>> {
            fs::read_dir(&self.path)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        };
        list().map_err(StateDirError::io("list", &self.path))
    }

    /// A file's content; `None` when there is no such file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StateDirError> {
        let path = self.join(name);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            content => Ok(Some(content.map_err(StateDirError::io("read", &path))?)),
        }
    }

    /// Writes a whole file. Its content is durable when this returns; its name is after [`StateDir::sync`].
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), StateDirError> {
        let path = self.join(name);
        self.attempt("write", &path, || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&path)?;
            file.write_all(content)?;
            file.sync_all()
        })
    }

    /// Gives a file another name. Durable after [`StateDir::sync`].
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), StateDirError> {
        let (from, to) = (self.join(from), self.join(to));
        self.attempt("rename", &from, || fs::rename(&from, &to))
    }

    /// Gives a file another name, if it is there, and says whether it was.
    pub(crate) fn rename_if_there(&self, from: &str, to: &str) -> Result<bool, StateDirError> {
        match self.rename(from, to) {
            Err(StateDirError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(false)
            }
            other => other.map(|()| true),
        }
    }

    /// Removes a file. Durable after [`StateDir::sync`].
    pub(crate) fn remove(&self, name: &str) -> Result<(), StateDirError> {
        let path = self.join(name);
        self.attempt("remove", &path, || fs::remove_file(&path))
    }

    /// Makes new, changed and removed names durable.
    pub(crate) fn sync(&self) -> Result<(), StateDirError> {
        self.attempt("make durable", &self.path, || {
            File::open(&self.path)?.sync_all()
        })
    }

    /// Changes something in the directory. Every change goes through here, so that tests can fail or stop each one.
    pub(crate) fn attempt<T>(
        &self,
        action: &'static str,
        path: &Path,
        change: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, StateDirError> {
        #[cfg(test)]
        self.faults
            .next()
            .map_err(StateDirError::io(action, path))?;
        change().map_err(StateDirError::io(action, path))
    }

    #[cfg(test)]
    pub(crate) fn faults(&self) -> &faults::Faults {
        &self.faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_refused_as_long_as_a_clone_lives() {
        let temporary = tempfile::tempdir().unwrap();
        let first = StateDir::open(temporary.path()).unwrap();
        let clone = first.clone();
        drop(first);
        let words = StateDir::open(temporary.path()).unwrap_err().to_string();
        let start = format!("another lbd (process {}) uses", std::process::id());
        assert!(words.starts_with(&start), "{words}");
        drop(clone);
        StateDir::open(temporary.path()).unwrap();
    }
}
