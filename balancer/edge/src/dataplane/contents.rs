//! What one table is in the kernel: an array of slots and an array of histories.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use balancer_common::abi::{HistoryRow, LINE_SLOTS, Slot, SlotLine};
use balancer_core::{model::BackendId, table::Table};

use super::sys;

/// What the inner arrays are made with; as the program declares them.
const INNER_FLAGS: u32 = 1 << 12;

/// The bytes of both arrays of a table with so many slots.
pub(super) fn bytes(slots: usize) -> usize {
    let lines = slots.div_ceil(LINE_SLOTS);
    lines * size_of::<SlotLine>() + slots * size_of::<HistoryRow>()
}

/// An array of one row of zeros: what an index without a table holds.
pub(super) fn nothing<Row>() -> io::Result<OwnedFd> {
    sys::create_array(1, size_of::<Row>() as u32, INNER_FLAGS)
}

/// Makes the array of a table's slots.
pub(super) fn create_lines(table: &Table) -> io::Result<OwnedFd> {
    let count = table.slots().div_ceil(LINE_SLOTS) as u32;
    let map = sys::create_array(count, size_of::<SlotLine>() as u32, INNER_FLAGS)?;
    write_lines(map.as_fd(), table, |_| true)?;
    Ok(map)
}

/// Makes the array of a table's histories. Rows of slots that never moved stay zero, as the kernel made them.
pub(super) fn create_histories(table: &Table) -> io::Result<OwnedFd> {
    let size = size_of::<HistoryRow>() as u32;
    let map = sys::create_array(table.slots() as u32, size, INNER_FLAGS)?;
    write_histories(map.as_fd(), table, |slot| table.history()[slot][0].0 != 0)?;
    Ok(map)
}

/// Turns the arrays of one table into those of another with as many slots: what is the same is not written.
pub(super) fn rewrite(
    lines: BorrowedFd<'_>,
    histories: BorrowedFd<'_>,
    from: &Table,
    to: &Table,
) -> io::Result<()> {
    let slot_differs = |slot| slot_of(from, slot).0 != slot_of(to, slot).0;
    write_lines(lines, to, |line| {
        let first = line * LINE_SLOTS;
        (first..to.slots().min(first + LINE_SLOTS)).any(slot_differs)
    })?;
    write_histories(histories, to, |slot| {
        from.history()[slot] != to.history()[slot]
    })
}

/// Writes the lines of a table that `wanted` names.
fn write_lines(
    map: BorrowedFd<'_>,
    table: &Table,
    wanted: impl Fn(usize) -> bool,
) -> io::Result<()> {
    let (mut keys, mut lines) = (Vec::new(), Vec::new());
    for line in (0..table.slots().div_ceil(LINE_SLOTS)).filter(|line| wanted(*line)) {
        keys.push(line as u32);
        for slot in line * LINE_SLOTS..(line + 1) * LINE_SLOTS {
            // A table may be smaller than a line.
            let slot = match slot < table.slots() {
                true => slot_of(table, slot).0,
                false => 0,
            };
            lines.extend(slot.to_ne_bytes());
        }
    }
    sys::update_all(map, &keys, &lines)
}

/// Writes the histories of the slots of a table that `wanted` names.
fn write_histories(
    map: BorrowedFd<'_>,
    table: &Table,
    wanted: impl Fn(usize) -> bool,
) -> io::Result<()> {
    let (mut keys, mut rows) = (Vec::new(), Vec::new());
    for slot in (0..table.slots()).filter(|slot| wanted(*slot)) {
        keys.push(slot as u32);
        let [newest, second, third] = table.history()[slot].map(|id: BackendId| id.0);
        let row: HistoryRow = [newest, second, third, 0];
        rows.extend(row.iter().flat_map(|id| id.to_ne_bytes()));
    }
    sys::update_all(map, &keys, &rows)
}

/// A slot as packets read it: its owner, and whether it has a history.
fn slot_of(table: &Table, slot: usize) -> Slot {
    let moved = match table.history()[slot][0].0 {
        0 => 0,
        _ => Slot::MOVED,
    };
    Slot(table.owners()[slot].0 | moved)
}

#[cfg(test)]
mod tests {
    use aya::{
        Pod,
        maps::{Array, Map, MapData},
    };
    use proptest::prelude::*;

    use super::*;

    const SLOTS: usize = 256;

    /// Every row of an array.
    fn rows<Row: Pod>(map: OwnedFd) -> Vec<Row> {
        let map = Map::Array(MapData::from_fd(map).unwrap());
        let array: Array<MapData, Row> = map.try_into().unwrap();
        array.iter().map(Result::unwrap).collect()
    }

    prop_compose! {
        /// Few owners, so that two tables have much in common.
        fn tables()(
            owners in prop::collection::vec(1..4_u16, SLOTS),
            histories in prop::collection::vec(prop::option::weighted(0.2, (1..4_u16, 0..4_u16, 0..4_u16)), SLOTS),
        ) -> Table {
            let owners = owners.into_iter().map(BackendId).collect();
            let history = |row: Option<(u16, u16, u16)>| {
                // Who owned a slot last comes first.
                let (newest, second, third) = row.unwrap_or_default();
                [newest, second, third].map(BackendId)
            };
            let histories = histories.into_iter().map(history);
            Table::held(owners, histories.collect()).unwrap()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_rewritten_is_as_if_it_were_new(from in tables(), to in tables()) {
            let (lines, histories) = (create_lines(&from).unwrap(), create_histories(&from).unwrap());
            rewrite(lines.as_fd(), histories.as_fd(), &from, &to).unwrap();
            let (new_lines, new_histories) = (create_lines(&to).unwrap(), create_histories(&to).unwrap());
            prop_assert_eq!(rows::<SlotLine>(lines), rows::<SlotLine>(new_lines));
            prop_assert_eq!(rows::<HistoryRow>(histories), rows::<HistoryRow>(new_histories));
        }
    }

    #[test]
    fn bytes_are_those_of_slots_and_histories() {
        assert_eq!(bytes(65_536), 65_536 * (2 + 8));
        // Lines are whole.
        assert_eq!(bytes(1), 64 + 8);
    }
}
