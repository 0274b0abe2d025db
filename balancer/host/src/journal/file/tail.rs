//! The newest segment, open for appends.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use crate::{
    journal::{AppendError, JournalError},
    state_dir::{StateDir, StateDirError},
};

/// The newest segment. Its content is durable up to `length_bytes`, and nothing is behind it.
#[derive(Debug)]
pub(super) struct Tail {
    dir: StateDir,
    path: PathBuf,
    file: File,
    first: u64,
    length_bytes: u64,
    entries: u64,
    /// An append failed, and what it wrote could not be cut off again.
    closed: bool,
}

impl Tail {
    /// Opens a segment that has `entries` entries in its first `whole_bytes`, and cuts off what is behind.
    pub(super) fn open(
        dir: &StateDir,
        first: u64,
        entries: u64,
        whole_bytes: u64,
    ) -> Result<Self, StateDirError> {
        let path = dir.join(&super::chain::name(first));
        let file = OpenOptions::new().write(true).open(&path);
        let file = file.map_err(StateDirError::io("open", &path))?;
        let tail = Self {
            dir: dir.clone(),
            path,
            file,
            first,
            length_bytes: whole_bytes,
            entries,
            closed: false,
        };
        let found = tail
            .file
            .metadata()
            .map_err(StateDirError::io("read", &tail.path))?;
        if found.len() != whole_bytes {
            tail.cut_back()?;
        }
        Ok(tail)
    }

    /// The number that its first entry has, or will have.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Fails when an earlier append left something that could not be cut off.
    pub(super) fn check_open(&self) -> Result<(), JournalError> {
        if self.closed {
            let place = self.path.display().to_string();
            return Err(JournalError::Closed { place });
        }
        Ok(())
    }

    /// Writes the lines of one append. They are durable when this returns.
    pub(super) fn append(&mut self, lines: &[u8], entries: u64) -> Result<(), AppendError> {
        self.check_open().map_err(AppendError::Failed)?;
        let written = self
            .dir
            .attempt("write", &self.path, || {
                self.file.write_all_at(lines, self.length_bytes)
            })
            .and_then(|()| {
                let sync = || self.file.sync_data();
                self.dir.attempt("make durable", &self.path, sync)
            });
        let Err(error) = written else {
            self.length_bytes += lines.len() as u64;
            self.entries += entries;
            return Ok(());
        };
        if let Err(undo) = self.cut_back() {
            self.closed = true;
            let both = format!("{error}; and what it left cannot be taken back: {undo}");
            return Err(AppendError::Unknown(JournalError::Unavailable(both.into())));
        }
        Err(AppendError::Failed(error.into()))
    }

    /// Cuts off all that is behind the last append that is durable.
    fn cut_back(&self) -> Result<(), StateDirError> {
        self.dir.attempt("cut off the end of", &self.path, || {
            self.file.set_len(self.length_bytes)?;
            self.file.sync_all()
        })
    }
}
