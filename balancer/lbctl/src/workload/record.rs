//! The state file beside the workload file, and the lock that keeps two appliers apart.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use balancer_config::workload::deploy::Record;

use crate::failure::Failure;

const STATE: &str = "balancer.state.json";
const LOCK: &str = ".balancer.state.lock";

/// What was applied, as it was read.
pub(super) fn read(directory: &Path) -> Result<Record, Failure> {
    let path = directory.join(STATE);
    match fs::read_to_string(&path) {
        Ok(text) => Record::parse(&text, &path.display().to_string())
            .map_err(|error| Failure::Workload(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Record::default()),
        Err(source) => Err(Failure::Unreadable { path, source }),
    }
}

/// The state file, for one applier at a time: for as long as this value lives.
pub(super) struct RecordFile {
    path: PathBuf,
    pub(super) record: Record,
    _lock: File,
}

impl RecordFile {
    /// Takes the lock, and reads what was applied.
    pub(super) fn open(directory: &Path) -> Result<Self, Failure> {
        let place = directory.join(LOCK);
        let unwritable = |source| Failure::Unwritable {
            path: place.clone(),
            source,
        };
        let mut lock = File::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&place)
            .map_err(unwritable)?;
        if let Err(refused) = lock.try_lock() {
            if let TryLockError::Error(source) = refused {
                return Err(unwritable(source));
            }
            let mut holder = String::new();
            let _ = lock.read_to_string(&mut holder);
            return Err(Failure::Locked {
                path: place,
                holder: holder.trim().to_owned(),
            });
        }
        lock.set_len(0).map_err(unwritable)?;
        writeln!(lock, "{}", std::process::id()).map_err(unwritable)?;
        Ok(Self {
            path: directory.join(STATE),
            record: read(directory)?,
            _lock: lock,
        })
    }

    /// Writes it so that a crash leaves the old or the new one.
    pub(super) fn save(&mut self) -> Result<(), Failure> {
        self.record.serial += 1;
        let text = self.record.to_text();
        let new = self.path.with_extension("json.new");
        let write = || -> io::Result<()> {
            let mut file = File::options()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            match self.path.parent() {
                Some(directory) => File::open(directory)?.sync_all(),
                None => Ok(()),
            }
        };
        write().map_err(|source| Failure::Unwritable {
            path: self.path.clone(),
            source,
        })
    }
}
