//! Tables in the kernel: regions of chunks, filled where no packet reads them.

use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use balancer_common::abi::{
    CHUNK_LINES, CHUNK_SLOTS, HistoryRow, LINE_SLOTS, MAX_CHUNKS, SlotLine,
};
use balancer_core::{
    model::{BackendId, ServiceId},
    table::Table,
};

use super::{
    chunks::Chunks,
    error::{DataplaneError, kernel},
    services::FilledTables,
    sys,
};
use crate::image::{Region, Regions, lines, words};

/// The maps of tables and of histories, and which lines are in use.
pub(super) struct Tables {
    slots: Chunks,
    histories: Chunks,
    regions: Regions,
    /// Whether no packet can be under way any more that met tables before this daemon.
    is_fresh: bool,
}

impl Tables {
    /// Opens all chunks that there are, and takes the regions that packets use.
    pub(super) fn open(
        slots: OwnedFd,
        histories: OwnedFd,
        in_use: BTreeSet<Region>,
    ) -> Result<Self, DataplaneError> {
        let mut tables = Self {
            slots: Chunks::open(slots, "slots", CHUNK_LINES, size_of::<SlotLine>())?,
            histories: Chunks::open(histories, "histories", CHUNK_SLOTS, size_of::<HistoryRow>())?,
            regions: Regions::new(MAX_CHUNKS),
            is_fresh: true,
        };
        for chunk in tables.slots.numbers() {
            tables.regions.add_chunk(chunk);
            tables.is_fresh = false;
        }
        for region in in_use {
            tables.regions.claim(region);
        }
        Ok(tables)
    }

    /// Fills each table in a region of its own that no packet reads. Nothing is taken when it fails.
    pub(super) fn fill(
        &mut self,
        tables: &[(ServiceId, &Table)],
    ) -> Result<FilledTables, DataplaneError> {
        let mut filled = FilledTables::new();
        if let Err(error) = self.fill_all(tables, &mut filled) {
            for region in filled.into_values() {
                self.regions.give_back(region);
            }
            return Err(error);
        }
        Ok(filled)
    }

    fn fill_all(
        &mut self,
        tables: &[(ServiceId, &Table)],
        filled: &mut FilledTables,
    ) -> Result<(), DataplaneError> {
        if tables.is_empty() {
            return Ok(());
        }
        if !self.is_fresh {
            // What an earlier daemon left may be read by packets that it let in.
            self.wait().run().map_err(kernel("wait for packets"))?;
            self.is_fresh = true;
        }
        let (mut slots, mut histories) = (BTreeSet::new(), BTreeSet::new());
        for &(id, table) in tables {
            let region = self
                .regions
                .take(lines(table.slots()))
                .ok_or(DataplaneError::NoTableLeft(MAX_CHUNKS))?;
            filled.insert(id, region);
            slots.insert(region.chunk());
            if words::has_moved(table) {
                histories.insert(region.chunk());
            }
        }
        self.slots
            .make(slots)
            .and_then(|()| self.histories.make(histories))
            .map_err(kernel("make room for tables"))?;
        for (id, table) in tables {
            self.write(filled[id], table);
        }
        Ok(())
    }

    fn write(&self, region: Region, table: &Table) {
        let Some((slots, histories)) = self.words(region) else {
            return;
        };
        for (to, word) in slots.iter().zip(words::slots(table)) {
            to.store(word, Ordering::Release);
        }
        for (to, history) in histories.unwrap_or_default().iter().zip(table.history()) {
            to.store(words::history_word(history), Ordering::Release);
        }
    }

    /// Whether packets that use this region meet exactly this table.
    pub(super) fn holds(&self, region: Region, table: &Table) -> bool {
        let Some((slots, histories)) = self.words(region) else {
            return false;
        };
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let same_slots = || slots.iter().map(load).eq(words::slots(table));
        let same_history = || match histories {
            Some(rows) => (rows.iter().zip(table.history())).all(|(row, history)| {
                history[0].0 == 0 || load(row) == words::history_word(history)
            }),
            None => !words::has_moved(table),
        };
        region.lines == lines(table.slots()) && same_slots() && same_history()
    }

    /// Reads a table of so many slots that packets meet; `None` if there is none.
    pub(super) fn read(&self, region: Region, slots: usize) -> Option<Table> {
        let (lines, histories) = self.words(region)?;
        let (mut owners, mut history) = (Vec::new(), Vec::new());
        let read =
            (lines.iter()).flat_map(|word| words::unpacked_slots(word.load(Ordering::Relaxed)));
        for (at, slot) in read.take(slots).enumerate() {
            let earlier = match (slot.has_moved(), histories) {
                (true, Some(rows)) => words::unpacked_history(rows[at].load(Ordering::Relaxed)),
                _ => [BackendId(0); 3],
            };
            owners.push(BackendId(slot.owner()));
            history.push(earlier);
        }
        Table::held(owners, history)
    }

    /// The memory of a region in use: its slots, and its rows of history, if its chunk has any.
    fn words(&self, region: Region) -> Option<(&[AtomicU64], Option<&[AtomicU64]>)> {
        if !self.regions.is_taken(region) {
            return None;
        }
        let (chunk, first, lines) = (region.chunk(), region.within(), region.lines as usize);
        let slots = self.slots.words(chunk)?;
        let slots = slots.get(first * words::LINE_WORDS..(first + lines) * words::LINE_WORDS)?;
        let rows = self.histories.words(chunk);
        let rows = rows.and_then(|rows| rows.get(first * LINE_SLOTS..(first + lines) * LINE_SLOTS));
        Some((slots, rows))
    }

    /// All regions in use.
    pub(super) fn taken(&self) -> BTreeSet<Region> {
        self.regions.taken().collect()
    }

    /// Gives back a region that no packet reads any more.
    pub(super) fn give_back(&mut self, region: Region) {
        self.regions.give_back(region);
    }

    /// How to wait until every packet that is under way now has left the programs.
    pub(super) fn wait(&self) -> Wait {
        Wait {
            outer: self.slots.outer(),
            chunk: self.slots.first(),
        }
    }

    /// Takes out the chunks in which no table is; the kernel still has them until [`Leaving::remove`].
    pub(super) fn leave(&mut self) -> Leaving {
        let chunks = self.regions.leave();
        for &chunk in &chunks {
            self.slots.unmap(chunk);
            self.histories.unmap(chunk);
        }
        Leaving {
            // In this order: a chunk of histories alone is not found again.
            maps: [self.histories.outer(), self.slots.outer()],
            chunks,
        }
    }

    /// The kernel has these chunks no longer.
    pub(super) fn forget(&mut self, gone: &Leaving) {
        for &chunk in &gone.chunks {
            self.regions.forget(chunk);
        }
    }
}

/// A wait for packets.
pub(super) struct Wait {
    outer: Arc<OwnedFd>,
    /// Without one no packet has met a table.
    chunk: Option<(u32, Arc<OwnedFd>)>,
}

impl Wait {
    /// Returns when every packet that was under way has left the programs: an update of a map of maps does
    /// (`maybe_wait_bpf_programs`, Linux 4.20 on), whatever it writes, and this one writes what is there.
    pub(super) fn run(&self) -> io::Result<()> {
        match &self.chunk {
            Some((number, chunk)) => sys::set_inner_map(self.outer.as_fd(), *number, chunk.as_fd()),
            None => Ok(()),
        }
    }
}

/// Chunks that the kernel still has, and nobody uses.
pub(super) struct Leaving {
    maps: [Arc<OwnedFd>; 2],
    chunks: Vec<u32>,
}

impl Leaving {
    /// Gives their memory back to the kernel.
    pub(super) fn remove(&self) -> io::Result<()> {
        for map in &self.maps {
            for &chunk in &self.chunks {
                sys::remove_inner_map(map.as_fd(), chunk)?;
            }
        }
        Ok(())
    }
}
