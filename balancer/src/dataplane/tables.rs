//! Tables in the kernel: filled where no packet reads them, then made live by one update.

use std::collections::BTreeSet;

use aya::maps::{Array, ArrayOfMaps, MapData};
use balancer_common::abi::{HistoryRow, LINE_SLOTS, MAX_TABLES, Slot, SlotLine};

use super::error::{DataplaneError, kernel};
use crate::{model::BackendId, table::Table};

/// What the inner arrays are made with; as the program declares them.
const INNER_FLAGS: u32 = 1 << 12;

/// The maps of tables and of histories, and which of their indices are in use.
pub(super) struct Tables {
    tables: ArrayOfMaps<MapData, Array<MapData, SlotLine>>,
    histories: ArrayOfMaps<MapData, Array<MapData, HistoryRow>>,
    used: BTreeSet<u32>,
}

impl Tables {
    /// `used`: the indices that services in the kernel name.
    pub(super) fn new(
        tables: ArrayOfMaps<MapData, Array<MapData, SlotLine>>,
        histories: ArrayOfMaps<MapData, Array<MapData, HistoryRow>>,
        used: BTreeSet<u32>,
    ) -> Self {
        Self {
            tables,
            histories,
            used,
        }
    }

    /// Fills a table at an index that no service names, and gives the index.
    pub(super) fn fill(&mut self, table: &Table) -> Result<u32, DataplaneError> {
        let index = (0..MAX_TABLES)
            .find(|index| !self.used.contains(index))
            .ok_or(DataplaneError::NoTableLeft(MAX_TABLES))?;
        self.histories
            .set(index, &history_map(table)?, 0)
            .map_err(kernel("publish a history"))?;
        self.tables
            .set(index, &slot_map(table)?, 0)
            .map_err(kernel("publish a table"))?;
        self.used.insert(index);
        Ok(index)
    }

    /// Reads a table that packets meet.
    pub(super) fn read(&self, index: u32, slots: usize) -> Result<Option<Table>, DataplaneError> {
        let reading = "read a table";
        let lines = self.tables.get(&index, 0).map_err(kernel(reading))?;
        let rows = self.histories.get(&index, 0).map_err(kernel(reading))?;
        let (mut owners, mut history) = (Vec::new(), Vec::new());
        for line in 0..slots.div_ceil(LINE_SLOTS) {
            for slot in lines.get(&(line as u32), 0).map_err(kernel(reading))? {
                let row: HistoryRow = match Slot(slot).has_moved() {
                    true => rows
                        .get(&(owners.len() as u32), 0)
                        .map_err(kernel(reading))?,
                    false => [0; 4],
                };
                owners.push(BackendId(Slot(slot).owner()));
                history.push([row[0], row[1], row[2]].map(BackendId));
            }
        }
        Ok(Table::held(owners, history))
    }

    /// Gives back an index that no service names any more.
    ///
    /// A program that read the old index may still be running. An update of a map of maps returns
    /// only after every running program has left (`maybe_wait_bpf_programs`, Linux 4.20 on), so the
    /// history goes first, which packets don't read, and the table after that wait.
    pub(super) fn release(&mut self, index: u32) -> Result<(), DataplaneError> {
        let no_history =
            Array::create(1, INNER_FLAGS).map_err(kernel("create an empty history"))?;
        let no_table = Array::create(1, INNER_FLAGS).map_err(kernel("create an empty table"))?;
        self.histories
            .set(index, &no_history, 0)
            .map_err(kernel("empty a history"))?;
        self.tables
            .set(index, &no_table, 0)
            .map_err(kernel("empty a table"))?;
        self.used.remove(&index);
        Ok(())
    }

    /// Returns when every packet that is under way now has left the programs, by the same wait: an update of an
    /// index that no service names.
    pub(super) fn wait_for_packets(&mut self) -> Result<(), DataplaneError> {
        let index = (0..MAX_TABLES)
            .find(|index| !self.used.contains(index))
            .ok_or(DataplaneError::NoTableLeft(MAX_TABLES))?;
        let no_table = Array::create(1, INNER_FLAGS).map_err(kernel("create an empty table"))?;
        self.tables
            .set(index, &no_table, 0)
            .map_err(kernel("wait for packets"))
    }
}

fn slot_map(table: &Table) -> Result<Array<MapData, SlotLine>, DataplaneError> {
    let lines = table.slots().div_ceil(LINE_SLOTS);
    let mut map = Array::create(lines as u32, INNER_FLAGS).map_err(kernel("create a table"))?;
    let mut line: SlotLine = [0; LINE_SLOTS];
    for (i, (owners, histories)) in table
        .owners()
        .chunks(LINE_SLOTS)
        .zip(table.history().chunks(LINE_SLOTS))
        .enumerate()
    {
        for (slot, (owner, history)) in line.iter_mut().zip(owners.iter().zip(histories)) {
            *slot = if history[0].0 == 0 {
                owner.0
            } else {
                owner.0 | Slot::MOVED
            };
        }
        map.set(i as u32, line, 0).map_err(kernel("fill a table"))?;
    }
    Ok(map)
}

/// A row a slot; rows of slots that never moved stay zero, as the kernel made them.
fn history_map(table: &Table) -> Result<Array<MapData, HistoryRow>, DataplaneError> {
    let mut map =
        Array::create(table.slots() as u32, INNER_FLAGS).map_err(kernel("create a history"))?;
    for (slot, owners) in table.history().iter().enumerate() {
        if owners[0].0 != 0 {
            let row: HistoryRow = [owners[0].0, owners[1].0, owners[2].0, 0];
            map.set(slot as u32, row, 0)
                .map_err(kernel("fill a history"))?;
        }
    }
    Ok(map)
}
