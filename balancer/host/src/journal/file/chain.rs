//! The segment files, and what they hold together.

use serde::de::DeserializeOwned;

use super::segment::{self, Unreadable};
use crate::{
    journal::{Entry, JournalError},
    state_dir::{StateDir, StateDirError},
};

/// All segments behind a checkpoint, read.
pub(super) struct Chain<C> {
    pub(super) entries: Vec<Entry<C>>,
    pub(super) newest_first: u64,
    pub(super) newest_entries: u64,
    pub(super) newest_bytes: u64,
    /// What is behind the last whole append.
    pub(super) torn: Vec<u8>,
    pub(super) warnings: Vec<String>,
}

impl<C: DeserializeOwned> Chain<C> {
    /// Reads the segment that begins behind entry `after`, and all after it.
    pub(super) fn read(dir: &StateDir, after: u64) -> Result<Self, JournalError> {
        let missing = |number: u64, there: &str| {
            JournalError::Damaged(format!(
                "entries from number {number} on are missing in {}: no `{}`{there}; put it back from a copy, or move \
                 all files but `lock` away to start from the configuration alone (connections will move)",
                dir.path().display(),
                name(number)
            ))
        };
        let mut firsts = segments(dir)?;
        firsts.retain(|&first| first > after);
        if firsts.first() != Some(&(after + 1)) {
            return Err(missing(after + 1, ""));
        }
        let mut chain = Self {
            entries: Vec::new(),
            newest_first: 0,
            newest_entries: 0,
            newest_bytes: 0,
            torn: Vec::new(),
            warnings: Vec::new(),
        };
        let newest = firsts[firsts.len() - 1];
        for first in firsts {
            let next = after + 1 + chain.entries.len() as u64;
            if first != next {
                return Err(missing(
                    next,
                    &format!(", and the next is `{}`", name(first)),
                ));
            }
            chain.add(dir, first, first == newest)?;
        }
        Ok(chain)
    }

    fn add(&mut self, dir: &StateDir, first: u64, newest: bool) -> Result<(), JournalError> {
        let (file, place) = (name(first), dir.path().display());
        let content = dir.read(&file)?.ok_or(JournalError::Compacted {
            asked: first,
            first: first + 1,
        })?;
        let segment = segment::read::<C>(&content, first).map_err(|error| match error {
            Unreadable::Newer(version) => JournalError::Newer {
                place: dir.join(&file).display().to_string(),
                version,
                known: segment::VERSION,
            },
            Unreadable::Damaged { line, why, entry } => JournalError::Damaged(format!(
                "line {line} of `{file}` in {place} is damaged: {why}. Put back a copy of the file, or, to go on without \
                 entry {entry} and all after it (connections may move), keep a copy, cut the file off before line {line} \
                 and move later files of the journal away"
            )),
        })?;
        self.torn = content[segment.whole_bytes..].to_vec();
        if !self.torn.is_empty() && !newest {
            return Err(JournalError::Damaged(format!(
                "`{file}` in {place} is cut off, and entries follow it in another file: put back a copy"
            )));
        }
        if segment.doubled > 0 {
            self.warnings.push(format!(
                "`{file}` in {place} has {} lines twice: each was taken once",
                segment.doubled
            ));
        }
        self.newest_first = first;
        self.newest_entries = segment.entries.len() as u64;
        self.newest_bytes = segment.whole_bytes as u64;
        self.entries.extend(segment.entries);
        Ok(())
    }
}

/// Keeps what is about to be cut off, and says so.
pub(super) fn keep_torn(dir: &StateDir, file: &str, torn: &[u8]) -> Result<String, StateDirError> {
    let aside = format!("{file}.torn");
    dir.write(&aside, torn)?;
    dir.sync()?;
    Ok(format!(
        "`{file}` in {} ended in {} bytes of a change that was never answered as made, as a crash leaves them: they are \
         now in `{aside}`",
        dir.path().display(),
        torn.len()
    ))
}

/// Writes a segment without entries, and says how long it is.
pub(super) fn write_segment(dir: &StateDir, first: u64) -> Result<u64, StateDirError> {
    const NEW: &str = "journal.new";
    let header = segment::header(first);
    dir.write(NEW, header.as_bytes())?;
    dir.rename(NEW, &name(first))?;
    dir.sync()?;
    Ok(header.len() as u64)
}

/// The name of the segment that begins with this entry.
pub(super) fn name(first: u64) -> String {
    format!("journal-{first}")
}

/// The numbers with which the segments begin, in their order.
pub(super) fn segments(dir: &StateDir) -> Result<Vec<u64>, StateDirError> {
    let names = dir.names()?;
    let mut firsts: Vec<u64> = names
        .iter()
        .filter_map(|file| file.strip_prefix("journal-")?.parse().ok())
        // Only as this program writes them.
        .filter(|&first| names.contains(&name(first)))
        .collect();
    firsts.sort_unstable();
    firsts.dedup();
    Ok(firsts)
}
