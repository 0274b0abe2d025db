//! Tables as they stand in memory: slots of two bytes, rows of history of eight, and both as words of eight bytes.

use balancer_common::abi::{HistoryRow, LINE_SLOTS, Slot, SlotLine};
use balancer_core::{model::BackendId, table::Table};

/// Words of 8 bytes of a line of slots.
pub(crate) const LINE_WORDS: usize = size_of::<SlotLine>() / 8;

/// Slots in a word.
const WORD_SLOTS: usize = LINE_SLOTS / LINE_WORDS;

/// A slot of a table.
pub(crate) fn slot(table: &Table, at: usize) -> Option<Slot> {
    let owner = table.owners().get(at)?;
    let history = table.history().get(at)?;
    Some(packed_slot(*owner, history))
}

/// The earlier owners of a slot of a table.
pub(crate) fn history(table: &Table, at: usize) -> Option<HistoryRow> {
    table.history().get(at).map(row)
}

/// Whether any slot has had another owner.
pub(crate) fn has_moved(table: &Table) -> bool {
    table.history().iter().any(|history| history[0].0 != 0)
}

/// The slots of a table as words, in their order.
pub(crate) fn slots(table: &Table) -> impl Iterator<Item = u64> {
    let owners = table.owners().chunks(WORD_SLOTS);
    let histories = table.history().chunks(WORD_SLOTS);
    owners.zip(histories).map(|(owners, histories)| {
        let mut slots = [0; WORD_SLOTS];
        for (slot, (&owner, history)) in slots.iter_mut().zip(owners.iter().zip(histories)) {
            *slot = packed_slot(owner, history).0;
        }
        pack(slots)
    })
}

/// The row of a slot's history as a word.
pub(crate) fn history_word(history: &[BackendId; 3]) -> u64 {
    pack(row(history))
}

/// The four slots of a word.
pub(crate) fn unpacked_slots(word: u64) -> [Slot; WORD_SLOTS] {
    unpack(word).map(Slot)
}

/// The earlier owners in a row's word.
pub(crate) fn unpacked_history(word: u64) -> [BackendId; 3] {
    let [first, second, third, _] = unpack(word);
    [first, second, third].map(BackendId)
}

fn packed_slot(owner: BackendId, history: &[BackendId; 3]) -> Slot {
    match history[0].0 {
        0 => Slot(owner.0),
        _ => Slot(owner.0 | Slot::MOVED),
    }
}

fn row(history: &[BackendId; 3]) -> HistoryRow {
    let [first, second, third] = history.map(|id| id.0);
    [first, second, third, 0]
}

/// Four numbers as they stand in memory.
fn pack(parts: [u16; WORD_SLOTS]) -> u64 {
    let mut bytes = [0; 8];
    for (to, part) in bytes.chunks_mut(2).zip(parts) {
        to.copy_from_slice(&part.to_ne_bytes());
    }
    u64::from_ne_bytes(bytes)
}

fn unpack(word: u64) -> [u16; WORD_SLOTS] {
    let bytes = word.to_ne_bytes();
    [0, 2, 4, 6].map(|at| u16::from_ne_bytes([bytes[at], bytes[at + 1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of 256 slots that 1 had all of, and shares with 2 now.
    fn table() -> Table {
        let one = Table::empty(256).step(&[(BackendId(1), 1)].into());
        one.step(&[(BackendId(1), 1), (BackendId(2), 1)].into())
    }

    #[test]
    fn slots_and_rows_are_words_in_the_order_of_memory() {
        let table = table();
        let words: Vec<u64> = slots(&table).collect();
        assert_eq!(words.len(), 64);
        let slots = words.iter().flat_map(|&word| unpacked_slots(word));
        for (at, slot) in slots.enumerate() {
            let history = table.history()[at];
            assert_eq!(BackendId(slot.owner()), table.owners()[at]);
            assert_eq!(unpacked_history(history_word(&history)), history);
            assert_eq!(slot.has_moved(), history[0].0 != 0);
            assert_eq!(super::slot(&table, at), Some(slot));
            assert_eq!(
                super::history(&table, at).map(|row| row[3]),
                Some(0),
                "padding"
            );
        }
        assert_eq!(super::slot(&table, 256), None);
        assert_eq!(pack([1, 2, 3, 4]).to_le_bytes(), [1, 0, 2, 0, 3, 0, 4, 0]);
    }
}
