//! A container's log: two files, the newer `log` and the older `log.1`, each of at most half the bound.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::{StreamExt, stream, stream::BoxStream};

use crate::runtime::{LOG_BYTES, LogLine, RuntimeError};

const NEW: &str = "log";
const OLD: &str = "log.1";
/// How often a followed log is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The supervisor's end.
pub(super) struct Writer {
    directory: PathBuf,
    file: Option<File>,
    length: u64,
}

impl Writer {
    pub(super) fn open(directory: &Path) -> Self {
        let path = directory.join(NEW);
        let file = File::options().create(true).append(true).open(path).ok();
        let length = file
            .as_ref()
            .and_then(|file| file.metadata().ok())
            .map_or(0, |file| file.len());
        Self {
            directory: directory.to_owned(),
            file,
            length,
        }
    }

    /// A line that cannot be written is lost: the container is not to stand still for its log.
    pub(super) fn write(&mut self, line: &[u8]) {
        if self.length + line.len() as u64 > LOG_BYTES / 2 {
            let _ = fs::rename(self.directory.join(NEW), self.directory.join(OLD));
            *self = Self::open(&self.directory);
        }
        self.length += line.len() as u64;
        if let Some(file) = &mut self.file {
            let _ = file.write_all(line);
        }
    }
}

struct Reading {
    container: String,
    directory: PathBuf,
    follow: bool,
    file: Option<File>,
    partial: Vec<u8>,
    ready: VecDeque<String>,
}

/// The last `tail` lines, and with `follow` every later one until the directory is removed.
pub(super) fn read(
    container: String,
    directory: PathBuf,
    tail: Option<usize>,
    follow: bool,
) -> BoxStream<'static, Result<LogLine, RuntimeError>> {
    let mut reading = Reading {
        container,
        file: File::open(directory.join(OLD)).ok(),
        directory,
        follow,
        partial: Vec::new(),
        ready: VecDeque::new(),
    };
    reading.take();
    reading.file = None;
    reading.take();
    if let Some(tail) = tail {
        let surplus = reading.ready.len().saturating_sub(tail);
        reading.ready.drain(..surplus);
    }
    stream::unfold(reading, Reading::next).map(Ok).boxed()
}

impl Reading {
    async fn next(mut self) -> Option<(LogLine, Self)> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                let container = self.container.clone();
                return Some((LogLine { container, text }, self));
            }
            if !self.follow || !self.directory.exists() {
                return None;
            }
            tokio::time::sleep(LOOK).await;
            self.take();
        }
    }

    /// Takes what has come: the rest of the file at hand, and then of a newer one if there is one.
    fn take(&mut self) {
        self.drain();
        let path = self.directory.join(NEW);
        let inode = |file: fs::Metadata| file.ino();
        let at_hand = self
            .file
            .as_ref()
            .and_then(|file| file.metadata().ok())
            .map(inode);
        let newest = fs::metadata(&path).ok().map(inode);
        if newest.is_some() && at_hand != newest {
            // What was written between the last look and the change of files.
            self.drain();
            self.file = File::open(path).ok();
            self.drain();
        }
    }

    fn drain(&mut self) {
        if let Some(file) = &mut self.file {
            // What could not be read now is read with the next look.
            let _ = file.read_to_end(&mut self.partial);
        }
        while let Some(end) = self.partial.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            let text = String::from_utf8_lossy(&line);
            self.ready
                .push_back(text.trim_end_matches(['\n', '\r']).to_owned());
        }
    }
}
