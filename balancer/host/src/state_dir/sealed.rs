//! A sealed file and the one before it: written whole, and whole after a crash at any moment.
//!
//! A new content is written to `NAME.new`, made durable, and moved into place; what was there becomes
//! `NAME.previous`.

use super::{StateDir, StateDirError, envelope};

/// Which sealed file, and how it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SealedFile {
    name: &'static str,
    magic: &'static str,
    /// The schema version that this program writes, and the newest that it reads.
    version: u32,
    /// How to start without the file and the one before it, and at what price.
    remedy: &'static str,
}

/// What a sealed file holds.
#[derive(Debug)]
pub(crate) enum Found<T> {
    /// Neither the file nor the one before it is there.
    Nothing,
    /// What was saved last.
    Current(T),
    /// What was saved before.
    Previous {
        /// It.
        value: T,
        /// What is wrong with the newer file, which is now called `NAME.damaged`. `None`: it is missing, as after a
        /// crash in the middle of a save, which then did not return.
        damage: Option<String>,
    },
}

impl SealedFile {
    pub(crate) const fn new(
        name: &'static str,
        magic: &'static str,
        version: u32,
        remedy: &'static str,
    ) -> Self {
        Self {
            name,
            magic,
            version,
            remedy,
        }
    }

    /// A file with a daemon's state.
    pub(crate) const fn state(name: &'static str) -> Self {
        let remedy =
            "move both away to start without what was changed since (connections will move)";
        Self::new(name, "balancer-state", 1, remedy)
    }

    /// A file in its place that says, by its version, that the state is elsewhere.
    pub(crate) const fn marker(name: &'static str, version: u32) -> Self {
        Self::new(name, "balancer-state", version, "")
    }

    /// Makes `json` the content that the next start finds. When this returns, it is on the disk.
    ///
    /// # Errors
    ///
    /// When the file system refuses; the content saved before is then still there.
    pub(crate) fn save(&self, dir: &StateDir, json: &[u8]) -> Result<(), StateDirError> {
        let [new, previous] = ["new", "previous"].map(|end| format!("{}.{end}", self.name));
        dir.write(&new, &envelope::seal(self.magic, self.version, json))?;
        dir.rename_if_there(self.name, &previous)?;
        dir.rename(&new, self.name)?;
        dir.sync()
    }

    /// Reads what was saved last, or, if that is missing or damaged, what was saved before. A damaged file is set
    /// aside when the one before it is whole, or the next save would put it in the place of the whole one.
    ///
    /// `decode` makes a value of the JSON; what it refuses is damaged.
    ///
    /// # Errors
    ///
    /// When neither is whole, when a newer version wrote one, and when the file system refuses.
    pub(crate) fn read<T>(
        &self,
        dir: &StateDir,
        decode: impl Fn(&[u8]) -> serde_json::Result<T>,
    ) -> Result<Found<T>, StateDirError> {
        let current = match self.read_one(dir, self.name, &decode)? {
            Some(Ok(value)) => return Ok(Found::Current(value)),
            Some(Err(why)) => Some(why),
            None => None,
        };
        let previous = self.read_one(dir, &format!("{}.previous", self.name), &decode)?;
        match (current, previous) {
            (None, None) => Ok(Found::Nothing),
            (damage, Some(Ok(value))) => {
                if damage.is_some() {
                    dir.rename(self.name, &format!("{}.damaged", self.name))?;
                    dir.sync()?;
                }
                Ok(Found::Previous { value, damage })
            }
            (current, previous) => {
                let missing = || "missing".to_owned();
                Err(StateDirError::Damaged {
                    dir: dir.path().to_owned(),
                    name: self.name,
                    current: current.unwrap_or_else(missing),
                    previous: previous.and_then(Result::err).unwrap_or_else(missing),
                    remedy: self.remedy,
                })
            }
        }
    }

    /// The schema version of the file, whether this program knows it or not; `None` when the file is missing or damaged.
    pub(crate) fn version_found(&self, dir: &StateDir) -> Result<Option<u32>, StateDirError> {
        let content = dir.read(self.name)?;
        let opened = content.and_then(|content| Some(envelope::open(self.magic, &content).ok()?.0));
        Ok(opened)
    }

    /// The value in a file, or why it is damaged; `None` when there is no such file.
    fn read_one<T>(
        &self,
        dir: &StateDir,
        name: &str,
        decode: &impl Fn(&[u8]) -> serde_json::Result<T>,
    ) -> Result<Option<Result<T, String>>, StateDirError> {
        let Some(content) = dir.read(name)? else {
            return Ok(None);
        };
        let (version, json) = match envelope::open(self.magic, &content) {
            Ok(opened) => opened,
            Err(why) => return Ok(Some(Err(why))),
        };
        if version > self.version {
            return Err(StateDirError::Newer {
                path: dir.join(name),
                version,
                known: self.version,
            });
        }
        Ok(Some(decode(json).map_err(|error| {
            format!("no {} of version {version}: {error}", self.name)
        })))
    }
}
