//! Tables in the kernel: regions of chunks, filled where no packet reads them.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use balancer_common::abi::{CHUNK_LINES, CHUNK_SLOTS, HistoryRow, LINE_SLOTS, SlotLine};
use balancer_core::{model::BackendId, table::Table};

use super::{
    chunks::Chunks,
    error::{DataplaneError, kernel},
    sys,
};
use crate::image::{Region, words};

/// The maps of tables and of histories.
pub(super) struct Tables {
    slots: Chunks,
    histories: Chunks,
    /// Whether no packet can be under way any more that met tables before this daemon.
    is_fresh: bool,
}

impl Tables {
    /// Opens all chunks that there are.
    pub(super) fn open(slots: OwnedFd, histories: OwnedFd) -> Result<Self, DataplaneError> {
        let slots = Chunks::open(slots, "slots", CHUNK_LINES, size_of::<SlotLine>())?;
        let is_fresh = slots.numbers().next().is_none();
        Ok(Self {
            is_fresh,
            slots,
            histories: Chunks::open(histories, "histories", CHUNK_SLOTS, size_of::<HistoryRow>())?,
        })
    }

    /// The numbers of the chunks that there are.
    pub(super) fn chunks(&self) -> impl Iterator<Item = u32> {
        self.slots.numbers()
    }

    /// Fills tables where no packet reads. Makes the chunks that are not there.
    pub(super) fn fill(&mut self, tables: &[(Region, Arc<Table>)]) -> Result<(), DataplaneError> {
        if tables.is_empty() {
            return Ok(());
        }
        if !self.is_fresh {
            // What an earlier daemon left may be read by packets that it let in.
            self.wait().run().map_err(kernel("wait for packets"))?;
            self.is_fresh = true;
        }
        let chunks = tables.iter().map(|(region, _)| region.chunk()).collect();
        let moved = tables.iter().filter(|(_, table)| words::has_moved(table));
        let histories = moved.map(|(region, _)| region.chunk()).collect();
        self.slots
            .make(chunks)
            .and_then(|()| self.histories.make(histories))
            .map_err(kernel("make room for tables"))?;
        for (region, table) in tables {
            self.write(*region, table);
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

    /// The memory of a region: its slots, and its rows of history, if its chunk has any.
    fn words(&self, region: Region) -> Option<(&[AtomicU64], Option<&[AtomicU64]>)> {
        let (chunk, first, lines) = (region.chunk(), region.within(), region.lines as usize);
        let slots = self.slots.words(chunk)?;
        let slots = slots.get(first * words::LINE_WORDS..(first + lines) * words::LINE_WORDS)?;
        let rows = self.histories.words(chunk);
        let rows = rows.and_then(|rows| rows.get(first * LINE_SLOTS..(first + lines) * LINE_SLOTS));
        Some((slots, rows))
    }

    /// How to wait until every packet that is under way now has left the programs.
    pub(super) fn wait(&self) -> Wait {
        Wait {
            outer: self.slots.outer(),
            chunk: self.slots.first(),
        }
    }

    /// Lets go of chunks in which no table is; the kernel still has them until [`Leaving::remove`].
    pub(super) fn leave(&mut self, chunks: Vec<u32>) -> Leaving {
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
    /// Their numbers.
    pub(super) fn chunks(&self) -> &[u32] {
        &self.chunks
    }

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
