//! Tables in the kernel: filled where no packet reads them, then made live by one update.

use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::Arc,
    thread,
};

use aya::maps::{Array, ArrayOfMaps, MapData};
use balancer_common::abi::{HistoryRow, LINE_SLOTS, MAX_TABLES, Slot, SlotLine};
use balancer_core::{model::BackendId, table::Table};

use super::{
    error::{DataplaneError, kernel},
    pins::PinDir,
    reclaimer::Reclaimer,
    sys,
};

/// What the inner arrays are made with; as the program declares them.
const INNER_FLAGS: u32 = 1 << 12;

/// The maps of tables and of histories, and which of their indices are in use.
pub(super) struct Tables {
    tables: ArrayOfMaps<MapData, Array<MapData, SlotLine>>,
    histories: ArrayOfMaps<MapData, Array<MapData, HistoryRow>>,
    outer: Arc<Outer>,
    /// Those that services name, and those that are being emptied.
    used: BTreeSet<u32>,
    reclaimer: Reclaimer,
}

/// Both maps once more, to be written at many indices at once, and what an index without a table holds.
pub(super) struct Outer {
    tables: MapData,
    histories: MapData,
    no_table: OwnedFd,
    no_history: OwnedFd,
}

impl Tables {
    /// `used`: the indices that services in the kernel name. The maps are pinned.
    pub(super) fn new(
        tables: ArrayOfMaps<MapData, Array<MapData, SlotLine>>,
        histories: ArrayOfMaps<MapData, Array<MapData, HistoryRow>>,
        used: BTreeSet<u32>,
        pins: &PinDir,
    ) -> Result<Self, DataplaneError> {
        let outer = Arc::new(Outer::open(pins)?);
        Ok(Self {
            tables,
            histories,
            reclaimer: Reclaimer::start(Arc::clone(&outer)),
            outer,
            used,
        })
    }

    /// Fills tables at indices that no service names, and gives these in the order of the tables: two waits for packets, side by
    /// side, for all of them.
    pub(super) fn fill<'a>(
        &mut self,
        tables: impl Iterator<Item = &'a Table> + Clone,
    ) -> Result<Vec<u32>, DataplaneError> {
        let indices = self.free(tables.clone().count())?;
        let (mut slots, mut histories) = (Vec::new(), Vec::new());
        for table in tables {
            slots.push(slot_map(table).map_err(kernel("fill a table"))?);
            histories.push(history_map(table).map_err(kernel("fill a history"))?);
        }
        let outer = &self.outer;
        thread::scope(|scope| {
            let publishing = scope.spawn(|| set(&outer.histories, &indices, &histories));
            let tables = set(&outer.tables, &indices, &slots).map_err(kernel("publish a table"));
            let histories = publishing.join().expect("it does not panic");
            tables.and(histories.map_err(kernel("publish a history")))
        })?;
        self.used.extend(&indices);
        Ok(indices)
    }

    /// So many indices that nobody names; waits for some that are being emptied, if there are too few.
    fn free(&mut self, count: usize) -> Result<Vec<u32>, DataplaneError> {
        for index in self.reclaimer.take_done() {
            self.used.remove(&index);
        }
        loop {
            let free = (0..MAX_TABLES).filter(|index| !self.used.contains(index));
            let free: Vec<u32> = free.take(count).collect();
            if free.len() == count {
                return Ok(free);
            }
            let Some(indices) = self.reclaimer.wait() else {
                return Err(DataplaneError::NoTableLeft(MAX_TABLES));
            };
            for index in indices {
                self.used.remove(&index);
            }
        }
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

    /// Gives back indices that no service names any more: beside this, because programs that read them may still be running.
    pub(super) fn release(&mut self, indices: Vec<u32>) {
        if !indices.is_empty() {
            self.reclaimer.reclaim(indices);
        }
    }

    /// Returns when every packet that is under way now has left the programs, by an update of an index that no service
    /// names.
    pub(super) fn wait_for_packets(&mut self) -> Result<(), DataplaneError> {
        let index = self.free(1)?;
        let empty = std::slice::from_ref(&self.outer.no_table);
        set(&self.outer.tables, &index, empty).map_err(kernel("wait for packets"))
    }
}

impl Outer {
    fn open(pins: &PinDir) -> Result<Self, DataplaneError> {
        let open = |name| MapData::from_pin(pins.path(name)).map_err(kernel("open a pinned map"));
        let empty = |value_size: usize| {
            let empty = sys::create_array(1, value_size as u32, INNER_FLAGS);
            empty.map_err(kernel("create an empty table"))
        };
        Ok(Self {
            tables: open("TABLES")?,
            histories: open("HISTORIES")?,
            no_table: empty(size_of::<SlotLine>())?,
            no_history: empty(size_of::<HistoryRow>())?,
        })
    }

    /// Empties indices that no service names any more.
    ///
    /// A program that read such an index may still be running. An update of a map of maps returns only after every running
    /// program has left (`maybe_wait_bpf_programs`, Linux 4.20 on), so the histories go first, without which such a program only
    /// finds fewer alternates, and the tables after that wait.
    pub(super) fn empty(&self, indices: &[u32]) -> io::Result<()> {
        let all = |empty: &OwnedFd| -> io::Result<Vec<OwnedFd>> {
            indices.iter().map(|_| empty.try_clone()).collect()
        };
        set(&self.histories, indices, &all(&self.no_history)?)?;
        set(&self.tables, indices, &all(&self.no_table)?)
    }
}

/// Has the indices of an array of maps hold these maps.
fn set(outer: &MapData, indices: &[u32], maps: &[OwnedFd]) -> io::Result<()> {
    let numbers = maps.iter().map(|map| map.as_fd().as_raw_fd().to_ne_bytes());
    sys::update_all(fd(outer), indices, &numbers.flatten().collect::<Vec<u8>>())
}

fn fd(map: &MapData) -> BorrowedFd<'_> {
    map.fd().as_fd()
}

fn slot_map(table: &Table) -> io::Result<OwnedFd> {
    let mut lines = Vec::with_capacity(table.slots() * size_of::<u16>());
    for (owner, history) in table.owners().iter().zip(table.history()) {
        let moved = if history[0].0 == 0 { 0 } else { Slot::MOVED };
        lines.extend((owner.0 | moved).to_ne_bytes());
    }
    // A table may be smaller than a line.
    lines.resize(lines.len().next_multiple_of(size_of::<SlotLine>()), 0);
    let count = lines.len() / size_of::<SlotLine>();
    let map = sys::create_array(count as u32, size_of::<SlotLine>() as u32, INNER_FLAGS)?;
    sys::update_all(map.as_fd(), &Vec::from_iter(0..count as u32), &lines)?;
    Ok(map)
}

/// A row a slot; rows of slots that never moved stay zero, as the kernel made them.
fn history_map(table: &Table) -> io::Result<OwnedFd> {
    let size = size_of::<HistoryRow>() as u32;
    let map = sys::create_array(table.slots() as u32, size, INNER_FLAGS)?;
    let (mut slots, mut rows) = (Vec::new(), Vec::new());
    for (slot, owners) in (0..).zip(table.history()) {
        if owners[0].0 != 0 {
            slots.push(slot);
            let row: HistoryRow = [owners[0].0, owners[1].0, owners[2].0, 0];
            rows.extend(row.iter().flat_map(|id| id.to_ne_bytes()));
        }
    }
    sys::update_all(map.as_fd(), &slots, &rows)?;
    Ok(map)
}
