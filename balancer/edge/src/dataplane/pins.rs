//! The pin directory: maps, links and programs that outlive the daemon.
//!
//! `<pin_dir>/v<ABI version>/`, so that a daemon of another ABI never reuses a map of this one.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use aya::maps::{MapInfo, MapType};
use balancer_common::abi;
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::{
    error::{DataplaneError, kernel},
    former,
};

/// One versioned directory on a bpffs.
#[derive(Clone, Debug)]
pub struct PinDir {
    path: PathBuf,
    /// Where daemons of the version before have their pins.
    former: Option<PathBuf>,
}

/// A map's layout, as far as the kernel tells it.
pub(super) struct Layout {
    pub(super) name: &'static str,
    pub(super) map_type: MapType,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) flags: u32,
}

impl PinDir {
    /// The directory of an edge of this ABI version below `pin_dir`; nothing is made yet.
    pub fn new(pin_dir: &Path) -> Self {
        Self {
            path: pin_dir.join(format!("v{}", abi::VERSION)),
            former: Some(pin_dir.join(format!("v{}", former::VERSION))),
        }
    }

    /// The same of an agent.
    pub fn of_agent(pin_dir: &Path) -> Self {
        Self {
            path: pin_dir.join(format!("v{}", abi::AGENT_VERSION)),
            former: None,
        }
    }

    /// A directory within it.
    pub fn within(&self, name: &str) -> Self {
        Self {
            path: self.path.join(name),
            former: None,
        }
    }

    /// The directory of the version before, if an edge left it: the one of an agent holds directories.
    pub(super) fn former(&self) -> Option<Self> {
        let path = self.former.clone().filter(|path| path.is_dir())?;
        let former = Self { path, former: None };
        former
            .names()
            .is_ok_and(|of| of.is_empty())
            .then_some(former)
    }

    /// The names of the directories within it.
    pub fn names(&self) -> Result<BTreeSet<String>, DataplaneError> {
        self.entries(true)
    }

    /// The names of the pins within it.
    pub(super) fn files(&self) -> Result<BTreeSet<String>, DataplaneError> {
        self.entries(false)
    }

    fn entries(&self, directories: bool) -> Result<BTreeSet<String>, DataplaneError> {
        let names = || -> io::Result<BTreeSet<String>> {
            let mut names = BTreeSet::new();
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() == directories
                    && let Ok(name) = entry.file_name().into_string()
                {
                    names.insert(name);
                }
            }
            Ok(names)
        };
        names().map_err(|source| self.error(&self.path, source))
    }

    /// Makes the directory, which must be on a bpffs.
    pub fn create(&self) -> Result<(), DataplaneError> {
        // Looked at before anything is made, so that nothing is left behind.
        let mut ancestors = self.path.ancestors();
        let there = ancestors.find(|ancestor| ancestor.exists());
        let there = there.unwrap_or(Path::new("/"));
        let on = statfs(there).map_err(|errno| self.error(there, errno.into()))?;
        if on.filesystem_type() != BPF_FS_MAGIC {
            return Err(DataplaneError::NoBpffs {
                path: self.path.clone(),
            });
        }
        let dotted = self
            .path
            .strip_prefix(there)
            .is_ok_and(|made| made.as_os_str().as_encoded_bytes().contains(&b'.'));
        fs::create_dir_all(&self.path).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied if dotted => DataplaneError::Dotted {
                path: self.path.clone(),
            },
            _ => self.error(&self.path, source),
        })
    }

    /// Whether the directory itself exists.
    pub(super) fn is_there(&self) -> bool {
        self.path.is_dir()
    }

    /// Whether the directory exists, or that of the version before.
    pub fn exists(&self) -> bool {
        self.path.is_dir() || self.former().is_some()
    }

    /// Takes the directory for one daemon, until what is given is dropped; and that of the version before, whose daemon may
    /// run.
    pub fn lock(&self) -> Result<Vec<File>, DataplaneError> {
        let mut locks = Vec::new();
        if self.path.is_dir() {
            locks.push(self.lock_one()?);
        }
        if let Some(former) = self.former() {
            locks.push(former.lock_one()?);
        }
        Ok(locks)
    }

    fn lock_one(&self) -> Result<File, DataplaneError> {
        let directory = File::open(&self.path).map_err(|source| self.error(&self.path, source))?;
        match directory.try_lock() {
            Ok(()) => Ok(directory),
            Err(TryLockError::WouldBlock) => Err(DataplaneError::InUse {
                path: self.path.clone(),
            }),
            Err(TryLockError::Error(source)) => Err(self.error(&self.path, source)),
        }
    }

    /// The path of a pin.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Checks that pinned maps have the layouts that this version's programs expect; missing ones are fine.
    pub(super) fn check(&self, layouts: &[Layout]) -> Result<(), DataplaneError> {
        for layout in layouts {
            let path = self.path(layout.name);
            if !path.exists() {
                continue;
            }
            let info = MapInfo::from_pin(&path).map_err(kernel("open a pinned map"))?;
            let found = (
                info.map_type()
                    .map_err(kernel("read a pinned map's type"))?,
                info.key_size(),
                info.value_size(),
                info.max_entries(),
                info.map_flags(),
            );
            let expected = (
                layout.map_type,
                layout.key_size,
                layout.value_size,
                layout.max_entries,
                layout.flags,
            );
            if found != expected {
                return Err(DataplaneError::Layout {
                    path,
                    found: describe(found),
                    expected: describe(expected),
                });
            }
        }
        Ok(())
    }

    /// Removes one pin; gives whether it was there.
    pub fn remove(&self, name: impl AsRef<str>) -> Result<bool, DataplaneError> {
        let path = self.path(name.as_ref());
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(self.error(&path, source)),
        }
    }

    /// Removes the directory with every pin in it; gives whether it was there.
    pub fn remove_all(&self) -> Result<bool, DataplaneError> {
        remove_tree(&self.path).map_err(|source| self.error(&self.path, source))
    }

    fn error(&self, path: &Path, source: io::Error) -> DataplaneError {
        if source.kind() == io::ErrorKind::PermissionDenied {
            return DataplaneError::Permission;
        }
        DataplaneError::Pin {
            path: path.to_owned(),
            source,
        }
    }
}

/// Like `remove_dir_all`, which trips over bpffs: its files cannot be opened.
fn remove_tree(path: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(path)?;
    Ok(true)
}

fn describe((map_type, key, value, entries, flags): (MapType, u32, u32, u32, u32)) -> String {
    format!(
        "{map_type:?}, {key}-byte keys, {value}-byte values, {entries} entries, flags {flags:#x}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing of an agent is taken over, and nothing of it is removed.
    #[test]
    fn what_an_agent_left_is_no_former_edge() {
        let pin_dir = tempfile::tempdir().unwrap();
        let pins = PinDir::new(pin_dir.path());
        assert!(pins.former().is_none());
        let former = pin_dir.path().join("v1");
        fs::create_dir(&former).unwrap();
        fs::write(former.join("link-7"), "").unwrap();
        assert_eq!(pins.former().map(|of| of.path), Some(former.clone()));
        fs::create_dir(former.join("an-instance")).unwrap();
        assert!(pins.former().is_none());
        assert!(!pins.exists());
        assert!(PinDir::of_agent(pin_dir.path()).former().is_none());
    }
}
