//! Backends in the kernel: their records.

use std::{
    collections::BTreeSet,
    os::fd::{AsFd, OwnedFd},
    sync::atomic::{AtomicU64, Ordering},
};

use balancer_common::abi::{Backend, MAX_BACKENDS};
use balancer_core::model::BackendId;

use super::{
    error::{DataplaneError, kernel},
    sys::{self, Mapping},
};

/// Words of 8 bytes of a record.
const RECORD_WORDS: usize = size_of::<Backend>() / 8;

/// The map of records.
pub(super) struct Backends {
    map: OwnedFd,
    records: Mapping,
    /// Those whose records are cleared once no packet reads them.
    leaving: BTreeSet<BackendId>,
}

impl Backends {
    pub(super) fn open(map: OwnedFd) -> Result<Self, DataplaneError> {
        let words = MAX_BACKENDS as usize * RECORD_WORDS;
        let records =
            Mapping::new(map.as_fd(), words).map_err(kernel("map the backends' records"))?;
        Ok(Self {
            map,
            records,
            leaving: BTreeSet::new(),
        })
    }

    /// The record of an id.
    pub(super) fn get(&self, id: BackendId) -> Backend {
        let mut words = [0; RECORD_WORDS];
        for (to, from) in words.iter_mut().zip(self.words(id)) {
            *to = from.load(Ordering::Relaxed);
        }
        from_words(words)
    }

    /// The ids that have a record.
    pub(super) fn ids(&self) -> impl Iterator<Item = BackendId> {
        (1..MAX_BACKENDS as u16)
            .map(BackendId)
            .filter(|&id| self.get(id).outer != 0)
    }

    /// Writes those records that differ. One that packets use already is written by one call, or a daemon that is killed
    /// meanwhile would leave a mixture.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub(super) fn put(&mut self, records: &[(BackendId, Backend)]) -> Result<(), DataplaneError> {
        for (id, record) in records {
            let before = self.get(*id);
            if before.outer == 0 {
                self.store(*id, record);
            } else if before != *record {
                sys::set_row(self.map.as_fd(), u32::from(id.0), &words_of(record))
                    .map_err(kernel("write a backend"))?;
            }
        }
        Ok(())
    }

    /// Packets may read the record meanwhile: each word that differs is written at once, and that which makes it
    /// somebody's is the last.
    fn store(&self, id: BackendId, record: &Backend) {
        for (to, word) in self.words(id).iter().zip(words_of(record)) {
            if to.load(Ordering::Relaxed) != word {
                to.store(word, Ordering::Release);
            }
        }
    }

    /// The backend is gone from every table; its record goes with [`Backends::clear`].
    pub(super) fn leave(&mut self, id: BackendId) {
        self.leaving.insert(id);
    }

    /// Whether any of these is gone from every table, and packets may still be under way to it.
    pub(super) fn is_leaving(&self, mut ids: impl Iterator<Item = BackendId>) -> bool {
        ids.any(|id| self.leaving.contains(&id))
    }

    /// No packet reads the record any more.
    pub(super) fn clear(&mut self, id: BackendId) {
        self.leaving.remove(&id);
        self.store(id, &Backend::EMPTY);
    }

    fn words(&self, id: BackendId) -> &[AtomicU64] {
        let first = usize::from(id.0) * RECORD_WORDS;
        &self.records.words()[first..first + RECORD_WORDS]
    }
}

/// A record as words, in the order of memory.
fn words_of(record: &Backend) -> [u64; RECORD_WORDS] {
    // SAFETY: the type is `repr(C)`, as large, aligned to more, and without implicit padding.
    unsafe { std::mem::transmute_copy(record) }
}

fn from_words(words: [u64; RECORD_WORDS]) -> Backend {
    // SAFETY: the type is `repr(C)`, as large, without implicit padding, and made of integers.
    unsafe { std::mem::transmute_copy(&words) }
}

#[cfg(test)]
mod tests {
    use balancer_common::{Address, abi::outer};

    use super::*;

    #[test]
    fn a_record_is_the_same_after_it_was_words_and_the_last_makes_it_somebodys() {
        let (source, destination) = (Address([1, 2]), Address([3, 4]));
        let record =
            Backend::new(outer::GUE_IPV4, source, destination).via(7, [2; 6], [4; 6], 1_500);
        let words = words_of(&record);
        assert_eq!(from_words(words), record);
        let mut without = words;
        without[RECORD_WORDS - 1] = 0;
        assert_eq!(from_words(without).outer, 0);
    }
}
