//! Chunks: the inner arrays of a map, all of one size, as memory of the daemon.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, atomic::AtomicU64},
    thread,
    time::Duration,
};

use balancer_common::abi::MAX_CHUNKS;

use super::{
    error::{DataplaneError, kernel},
    sys::{self, Mapping},
};

/// How often a map of chunks is asked whether it has what another thread puts there.
const LOOK_INTERVAL: Duration = Duration::from_micros(20);

/// A map of chunks, and the memory of each.
pub(super) struct Chunks {
    outer: Arc<OwnedFd>,
    name: &'static str,
    rows: u32,
    row_bytes: usize,
    mapped: BTreeMap<u32, Mapping>,
}

impl Chunks {
    /// Maps all that there are: so many rows each, of so many bytes.
    pub(super) fn open(
        outer: OwnedFd,
        name: &'static str,
        rows: u32,
        row_bytes: usize,
    ) -> Result<Self, DataplaneError> {
        let mut chunks = Self {
            outer: Arc::new(outer),
            name,
            rows,
            row_bytes,
            mapped: BTreeMap::new(),
        };
        chunks.find().map_err(kernel("open what tables are in"))?;
        Ok(chunks)
    }

    fn find(&mut self) -> io::Result<()> {
        for chunk in 0..MAX_CHUNKS {
            if let Some(id) = sys::inner_map(self.outer.as_fd(), chunk)? {
                let mapping = self.map(sys::map_by_id(id)?.as_fd())?;
                self.mapped.insert(chunk, mapping);
            }
        }
        Ok(())
    }

    fn map(&self, chunk: BorrowedFd<'_>) -> io::Result<Mapping> {
        Mapping::new(chunk, self.rows as usize * self.row_bytes / 8)
    }

    /// The map itself.
    pub(super) fn outer(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.outer)
    }

    /// The numbers of the chunks that there are.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.mapped.keys().copied()
    }

    /// The memory of a chunk.
    pub(super) fn words(&self, chunk: u32) -> Option<&[AtomicU64]> {
        self.mapped.get(&chunk).map(Mapping::words)
    }

    /// Lets go of a chunk's memory; the kernel still has it.
    pub(super) fn unmap(&mut self, chunk: u32) {
        self.mapped.remove(&chunk);
    }

    /// Makes those of these chunks that are not there.
    pub(super) fn make(&mut self, mut chunks: BTreeSet<u32>) -> io::Result<()> {
        chunks.retain(|chunk| !self.mapped.contains_key(chunk));
        let Some(&last) = chunks.last() else {
            return Ok(());
        };
        let (mut made, mut mapped) = (Vec::new(), Vec::new());
        for _ in &chunks {
            let chunk = sys::create_array(self.name, self.row_bytes, self.rows)?;
            mapped.push(self.map(chunk.as_fd())?);
            made.push(chunk);
        }
        let indices: Vec<u32> = chunks.into_iter().collect();
        self.insert(indices.clone(), made, last)?;
        self.mapped.extend(indices.into_iter().zip(mapped));
        Ok(())
    }

    /// Has the kernel know the chunks. It has them at once, but then waits for packets, which nobody needs who takes
    /// nothing away: so that another thread waits there.
    fn insert(&self, indices: Vec<u32>, made: Vec<OwnedFd>, last: u32) -> io::Result<()> {
        let outer = Arc::clone(&self.outer);
        let inserting = thread::Builder::new()
            .name("chunks".to_owned())
            .spawn(move || {
                let made: Vec<_> = made.iter().map(AsFd::as_fd).collect();
                sys::set_inner_maps(outer.as_fd(), &indices, &made)
            })?;
        loop {
            // They are stored in their order.
            if sys::inner_map(self.outer.as_fd(), last)?.is_some() {
                return Ok(());
            }
            if inserting.is_finished() {
                let done = inserting.join();
                return done.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }
}
