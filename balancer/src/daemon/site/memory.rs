//! The file that a site's memory is kept in.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::site::Memory;

/// One daemon's own file, for as long as this value lives.
pub(super) struct MemoryFile {
    path: PathBuf,
    /// Locked.
    _lock: File,
}

impl MemoryFile {
    /// Opens the directory, makes it if it is missing, and reads what an earlier daemon left.
    ///
    /// # Errors
    ///
    /// When another daemon has it, or what is there is no memory.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Memory)> {
        fs::create_dir_all(directory).map_err(named(directory))?;
        let lock = directory.join("lock");
        let file = File::create(&lock).map_err(named(&lock))?;
        if file.try_lock().is_err() {
            return Err(io::Error::other(format!(
                "{} is held by another lbd site: stop it first, or give this one another --state-dir",
                lock.display()
            )));
        }
        let path = directory.join("site.json");
        let memory = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                io::Error::other(format!(
                    "{} is damaged ({error}): restore it, or remove it and apply the workloads again",
                    path.display()
                ))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Memory::default(),
            Err(error) => return Err(named(&path)(error)),
        };
        Ok((Self { path, _lock: file }, memory))
    }

    /// Writes it so that a crash leaves the old or the new one. It may hold secrets of workloads: only its owner may read it.
    pub(super) fn save(&self, memory: &Memory) -> io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let new = self.path.with_extension("new");
        let mut file = File::options()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .map_err(named(&new))?;
        let text = serde_json::to_vec_pretty(memory).map_err(io::Error::other)?;
        file.write_all(&text).map_err(named(&new))?;
        file.sync_all().map_err(named(&new))?;
        fs::rename(&new, &self.path).map_err(named(&self.path))?;
        match self.path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }
}

fn named(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_read_again_by_one_daemon_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let (file, mut memory) = MemoryFile::open(directory.path()).unwrap();
        memory.leaving.insert("web-global-sea-0".to_owned(), 7);
        file.save(&memory).unwrap();
        let second = MemoryFile::open(directory.path());
        let said = second.err().unwrap().to_string();
        assert!(said.contains("held by another lbd site"), "{said}");
        drop(file);
        let (_, read) = MemoryFile::open(directory.path()).unwrap();
        assert_eq!(read, memory);
    }

    #[test]
    fn a_damaged_file_is_named_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("site.json");
        fs::write(&path, "{\"workloads\":").unwrap();
        let said = MemoryFile::open(directory.path())
            .err()
            .unwrap()
            .to_string();
        assert!(said.contains("site.json is damaged"), "{said}");
        assert!(path.exists());
    }
}
