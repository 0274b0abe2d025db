//! Former tables that stay in their place until a service needs one of their size: those are filled without a wait for packets.

use std::{collections::VecDeque, sync::Arc};

use balancer_core::table::Table;

use super::contents;

/// The largest table that is kept, in bytes: one of 128 backends.
const LARGEST_BYTES: usize = 128 << 10;

/// How much memory they may take together, in bytes: as many as changes that follow each other closely need until packets have
/// left the first one.
const MOST_BYTES: usize = 512 << 10;

/// A table that no service names and no packet reads.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) index: u32,
    /// What it holds.
    pub(super) table: Arc<Table>,
}

/// The spares, from the oldest to the newest, also those that packets which are under way may still read.
#[derive(Debug, Default)]
pub(super) struct Spares {
    ready: VecDeque<Spare>,
    awaited: Vec<Spare>,
    bytes: usize,
}

impl Spares {
    /// Takes in a former table, to be [ready](Spares::ready) when no packet reads it any more. Gives the indices that are none
    /// any more, for there would be too much: the oldest ones', or its own.
    pub(super) fn take_in(&mut self, spare: Spare) -> Vec<u32> {
        let size = contents::bytes(spare.table.slots());
        if size > LARGEST_BYTES {
            return vec![spare.index];
        }
        let mut let_go = Vec::new();
        while self.bytes + size > MOST_BYTES {
            let Some(oldest) = self.ready.pop_front() else {
                let_go.push(spare.index);
                return let_go;
            };
            self.bytes -= contents::bytes(oldest.table.slots());
            let_go.push(oldest.index);
        }
        self.bytes += size;
        self.awaited.push(spare);
        let_go
    }

    /// Notes that no packet reads what was at these indices.
    pub(super) fn ready(&mut self, indices: &[u32]) {
        let ready = self
            .awaited
            .extract_if(.., |spare| indices.contains(&spare.index));
        self.ready.extend(ready);
    }

    /// Notes that these indices are emptied instead.
    pub(super) fn forget(&mut self, indices: &[u32]) {
        let gone = self
            .awaited
            .extract_if(.., |spare| indices.contains(&spare.index));
        for spare in gone {
            self.bytes -= contents::bytes(spare.table.slots());
        }
    }

    /// Hands out a spare with so many slots.
    pub(super) fn hand_out(&mut self, slots: usize) -> Option<Spare> {
        let fits = |spare: &Spare| spare.table.slots() == slots;
        let spare = self.ready.remove(self.ready.iter().position(fits)?)?;
        self.bytes -= contents::bytes(slots);
        Some(spare)
    }

    /// Lets go of all that are ready; gives their indices.
    pub(super) fn let_go(&mut self) -> Vec<u32> {
        let all = std::mem::take(&mut self.ready);
        for spare in &all {
            self.bytes -= contents::bytes(spare.table.slots());
        }
        all.into_iter().map(|spare| spare.index).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spare(index: u32, slots: usize) -> Spare {
        let table = Arc::new(Table::empty(slots));
        Spare { index, table }
    }

    #[test]
    fn a_spare_is_handed_out_once_by_its_size_and_not_while_packets_read_it() {
        let mut spares = Spares::default();
        assert!(spares.take_in(spare(7, 256)).is_empty());
        assert!(spares.take_in(spare(8, 512)).is_empty());
        assert!(spares.hand_out(256).is_none());
        spares.ready(&[7, 8]);
        assert!(spares.hand_out(1_024).is_none());
        assert_eq!(spares.hand_out(512).unwrap().index, 8);
        assert!(spares.hand_out(512).is_none());
        assert_eq!(spares.hand_out(256).unwrap().index, 7);
        assert_eq!(spares.bytes, 0);
    }

    #[test]
    fn what_could_not_be_waited_for_is_no_spare() {
        let mut spares = Spares::default();
        assert!(spares.take_in(spare(7, 256)).is_empty());
        spares.forget(&[7]);
        spares.ready(&[7]);
        assert!(spares.hand_out(256).is_none());
        assert_eq!(spares.bytes, 0);
    }

    #[test]
    fn there_are_no_more_spares_than_memory_is_given_to_and_the_oldest_go() {
        let mut spares = Spares::default();
        assert_eq!(spares.take_in(spare(1, 16_384)), [1]);
        // 5,120 bytes each: 102 of them fit.
        for index in 0..102 {
            assert!(spares.take_in(spare(index, 512)).is_empty());
        }
        // Nobody may have those yet that packets read.
        assert_eq!(spares.take_in(spare(102, 512)), [102]);
        spares.ready(&Vec::from_iter(0..102));
        assert_eq!(spares.take_in(spare(103, 512)), [0]);
        assert_eq!(spares.take_in(spare(104, 1_024)), [1, 2]);
        assert!(spares.bytes <= MOST_BYTES);
        assert_eq!(spares.let_go(), Vec::from_iter(3..102));
        assert_eq!(spares.bytes, contents::bytes(512) + contents::bytes(1_024));
    }
}
