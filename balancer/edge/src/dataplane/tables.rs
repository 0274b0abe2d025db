//! Tables in the kernel: filled where no packet reads them, then made live by one update.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::Arc,
    thread,
};

use aya::maps::{Array, ArrayOfMaps, IterableMap, MapData};
use balancer_common::abi::{self, HistoryRow, LINE_SLOTS, MAX_TABLES, Slot, SlotLine};
use balancer_core::{model::BackendId, table::Table};

use super::{
    contents,
    error::{DataplaneError, kernel},
    pins::PinDir,
    reclaimer::{Former, Reclaimer},
    spares::{Spare, Spares},
    sys,
};

/// The maps of tables and of histories, and which of their indices are in use.
pub(super) struct Tables {
    outer: Arc<Outer>,
    /// Those that services name, or are to name, and what they hold, where that is known.
    filled: BTreeMap<u32, Option<Arc<Table>>>,
    spares: Spares,
    /// All that are not free: those that are filled, the spares, and those that are being emptied.
    used: BTreeSet<u32>,
    reclaimer: Reclaimer,
}

/// Both maps, once to be read and once to be written at many indices at once, what an index without a table holds, and the map of
/// backends.
pub(super) struct Outer {
    tables: ArrayOfMaps<MapData, Array<MapData, SlotLine>>,
    histories: ArrayOfMaps<MapData, Array<MapData, HistoryRow>>,
    written_tables: MapData,
    written_histories: MapData,
    written_backends: MapData,
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
        let outer = Arc::new(Outer::open(tables, histories, pins)?);
        Ok(Self {
            reclaimer: Reclaimer::start(Arc::clone(&outer)),
            outer,
            filled: used.iter().map(|&index| (index, None)).collect(),
            spares: Spares::default(),
            used,
        })
    }

    /// The indices that services name, or were to name when a write failed.
    pub(super) fn filled(&self) -> BTreeSet<u32> {
        self.filled.keys().copied().collect()
    }

    /// Notes what is at an index that a service names already.
    pub(super) fn keep(&mut self, index: u32, table: &Arc<Table>) {
        self.filled.insert(index, Some(Arc::clone(table)));
    }

    /// Fills tables at indices that no service names, and gives these in the order of the tables. Where there is no spare of a
    /// table's size, a new one is made: two waits for packets, side by side, for all of them.
    pub(super) fn fill(&mut self, tables: &[&Arc<Table>]) -> Result<Vec<u32>, DataplaneError> {
        self.take_reclaimed();
        let mut indices = Vec::with_capacity(tables.len());
        let mut missing = Vec::new();
        for table in tables {
            let spare = self.spares.hand_out(table.slots());
            if let Some(spare) = &spare {
                self.filled.insert(spare.index, None);
                self.rewrite(spare, table)?;
                self.keep(spare.index, table);
            } else {
                missing.push(*table);
            }
            indices.push(spare.map(|spare| spare.index));
        }
        let mut made = self.make(&missing)?.into_iter();
        let indices = indices.into_iter();
        Ok(indices
            .filter_map(|index| index.or_else(|| made.next()))
            .collect())
    }

    /// Has a spare hold another table.
    fn rewrite(&self, spare: &Spare, table: &Table) -> Result<(), DataplaneError> {
        let doing = "fill a table";
        let lines = self
            .outer
            .tables
            .get(&spare.index, 0)
            .map_err(kernel(doing))?;
        let histories = self
            .outer
            .histories
            .get(&spare.index, 0)
            .map_err(kernel(doing))?;
        let (lines, histories) = (fd(lines.map()), fd(histories.map()));
        contents::rewrite(lines, histories, &spare.table, table).map_err(kernel(doing))
    }

    /// Makes tables at free indices.
    fn make(&mut self, missing: &[&Arc<Table>]) -> Result<Vec<u32>, DataplaneError> {
        let indices = self.free(missing.len())?;
        let (mut lines, mut histories) = (Vec::new(), Vec::new());
        for table in missing {
            lines.push(contents::create_lines(table).map_err(kernel("fill a table"))?);
            histories.push(contents::create_histories(table).map_err(kernel("fill a history"))?);
        }
        let outer = &self.outer;
        thread::scope(|scope| {
            let publishing = scope.spawn(|| set(&outer.written_histories, &indices, &histories));
            let tables =
                set(&outer.written_tables, &indices, &lines).map_err(kernel("publish a table"));
            let histories = publishing.join().expect("it does not panic");
            tables.and(histories.map_err(kernel("publish a history")))
        })?;
        self.used.extend(&indices);
        for (&index, table) in indices.iter().zip(missing) {
            self.keep(index, table);
        }
        Ok(indices)
    }

    /// So many indices that nobody names; waits for some that are being emptied, if there are too few.
    fn free(&mut self, count: usize) -> Result<Vec<u32>, DataplaneError> {
        loop {
            let free = (0..MAX_TABLES).filter(|index| !self.used.contains(index));
            let free: Vec<u32> = free.take(count).collect();
            if free.len() == count {
                return Ok(free);
            }
            let emptied = self.spares.let_go();
            if !emptied.is_empty() {
                self.reclaimer.reclaim(Former {
                    emptied,
                    ..Former::default()
                });
            }
            let Some(done) = self.reclaimer.wait() else {
                return Err(DataplaneError::NoTableLeft(MAX_TABLES));
            };
            self.note_reclaimed(&done);
        }
    }

    fn take_reclaimed(&mut self) {
        let done = self.reclaimer.take_done();
        self.note_reclaimed(&done);
    }

    fn note_reclaimed(&mut self, done: &Former) {
        self.spares.forget(&done.emptied);
        self.spares.ready(&done.kept);
        for index in &done.emptied {
            self.used.remove(index);
        }
    }

    /// Reads a table that packets meet.
    pub(super) fn read(&self, index: u32, slots: usize) -> Result<Option<Table>, DataplaneError> {
        let reading = "read a table";
        let lines = self.outer.tables.get(&index, 0).map_err(kernel(reading))?;
        let rows = self
            .outer
            .histories
            .get(&index, 0)
            .map_err(kernel(reading))?;
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

    /// Gives back indices that no service names any more, and empties the records of backends that no table names, beside this:
    /// programs that read them may still be running.
    pub(super) fn release(
        &mut self,
        indices: Vec<u32>,
        backends: Vec<BackendId>,
    ) -> Result<(), DataplaneError> {
        let mut former = Former {
            backends,
            ..Former::default()
        };
        for index in indices {
            match self.filled.remove(&index).flatten() {
                Some(table) => {
                    let let_go = self.spares.take_in(Spare { index, table });
                    if !let_go.contains(&index) {
                        former.kept.push(index);
                    }
                    former.emptied.extend(let_go);
                }
                None => former.emptied.push(index),
            }
        }
        if former.emptied.is_empty() && former.kept.is_empty() {
            if former.backends.is_empty() {
                return Ok(());
            }
            // A wait is an update of an index that is nobody's.
            former.emptied = self.free(1)?;
            self.used.extend(&former.emptied);
        }
        self.reclaimer.reclaim(former);
        Ok(())
    }

    /// Returns when no packet reads the record of a former backend any more, so that another may have its number.
    pub(super) fn wait_for_backend(&mut self, id: BackendId) {
        while self.reclaimer.has(id) {
            let Some(done) = self.reclaimer.wait() else {
                return;
            };
            self.note_reclaimed(&done);
        }
    }

    /// Returns when nothing that was released is still waited for.
    pub(super) fn wait_for_released(&mut self) {
        while let Some(done) = self.reclaimer.wait() {
            self.note_reclaimed(&done);
        }
    }

    /// Returns when every packet that is under way now has left the programs, by an update of an index that no service
    /// names.
    pub(super) fn wait_for_packets(&mut self) -> Result<(), DataplaneError> {
        self.take_reclaimed();
        let index = self.free(1)?;
        let empty = std::slice::from_ref(&self.outer.no_table);
        set(&self.outer.written_tables, &index, empty).map_err(kernel("wait for packets"))
    }
}

impl Outer {
    fn open(
        tables: ArrayOfMaps<MapData, Array<MapData, SlotLine>>,
        histories: ArrayOfMaps<MapData, Array<MapData, HistoryRow>>,
        pins: &PinDir,
    ) -> Result<Self, DataplaneError> {
        let open = |name| MapData::from_pin(pins.path(name)).map_err(kernel("open a pinned map"));
        Ok(Self {
            written_tables: open("TABLES")?,
            written_histories: open("HISTORIES")?,
            written_backends: open("BACKENDS")?,
            tables,
            histories,
            no_table: contents::nothing::<SlotLine>().map_err(kernel("create a table"))?,
            no_history: contents::nothing::<HistoryRow>().map_err(kernel("create a table"))?,
        })
    }

    /// Empties indices that no service names any more, waits until no program reads those that are kept, and empties the records of
    /// backends that no table names.
    ///
    /// A program that read such an index may still be running. An update of a map of maps returns only after every running
    /// program has left (`maybe_wait_bpf_programs`, Linux 4.20 on), so the histories go first, without which such a program only
    /// finds fewer alternates, and the tables after that wait.
    pub(super) fn retire(&self, former: &Former) -> io::Result<()> {
        let all = |empty| vec![empty; former.emptied.len()];
        match (&former.emptied[..], &former.kept[..]) {
            ([], []) => {}
            // The same map in its place: an update like any other.
            ([], [index, ..]) => {
                let held = self.tables.get(index, 0).map_err(io::Error::other)?;
                set(&self.written_tables, &[*index], &[fd(held.map())])?;
            }
            (emptied, _) => {
                set(
                    &self.written_histories,
                    emptied,
                    &all(self.no_history.as_fd()),
                )?;
                set(&self.written_tables, emptied, &all(self.no_table.as_fd()))?;
            }
        }
        let ids: Vec<u32> = former.backends.iter().map(|id| id.0.into()).collect();
        let nobody = vec![0; ids.len() * size_of::<abi::Backend>()];
        sys::update_all(fd(&self.written_backends), &ids, &nobody)
    }
}

/// Has the indices of an array of maps hold these maps.
fn set(outer: &MapData, indices: &[u32], maps: &[impl AsFd]) -> io::Result<()> {
    let numbers = maps.iter().map(|map| map.as_fd().as_raw_fd().to_ne_bytes());
    sys::update_all(fd(outer), indices, &numbers.flatten().collect::<Vec<u8>>())
}

fn fd(map: &MapData) -> BorrowedFd<'_> {
    map.fd().as_fd()
}
