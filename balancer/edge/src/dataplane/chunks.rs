//! Chunks: the inner arrays of a map, all of one size, as memory of the daemon.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd, OwnedFd},
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
    mapped: BTreeMap<u32, Chunk>,
}

/// An inner array, and its memory.
struct Chunk {
    map: Arc<OwnedFd>,
    memory: Mapping,
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
        for number in 0..MAX_CHUNKS {
            if let Some(id) = sys::inner_map(self.outer.as_fd(), number)? {
                let chunk = self.map(sys::map_by_id(id)?)?;
                self.mapped.insert(number, chunk);
            }
        }
        Ok(())
    }

    fn map(&self, map: OwnedFd) -> io::Result<Chunk> {
        let memory = Mapping::new(map.as_fd(), self.rows as usize * self.row_bytes / 8)?;
        let map = Arc::new(map);
        Ok(Chunk { map, memory })
    }

    /// The map itself.
    pub(super) fn outer(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.outer)
    }

    /// The numbers of the chunks that there are.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.mapped.keys().copied()
    }

    /// The first of them.
    pub(super) fn first(&self) -> Option<(u32, Arc<OwnedFd>)> {
        let (&number, chunk) = self.mapped.first_key_value()?;
        Some((number, Arc::clone(&chunk.map)))
    }

    /// The memory of a chunk.
    pub(super) fn words(&self, chunk: u32) -> Option<&[AtomicU64]> {
        self.mapped.get(&chunk).map(|chunk| chunk.memory.words())
    }

    /// Lets go of a chunk's memory; the kernel still has it.
    pub(super) fn unmap(&mut self, chunk: u32) {
        self.mapped.remove(&chunk);
    }

    /// Makes those of these chunks that are not there.
    pub(super) fn make(&mut self, mut chunks: BTreeSet<u32>) -> io::Result<()> {
        chunks.retain(|chunk| !self.mapped.contains_key(chunk));
        let mut made = BTreeMap::new();
        for number in chunks {
            let map = sys::create_array(self.name, self.row_bytes, self.rows)?;
            made.insert(number, self.map(map)?);
        }
        self.insert(&made)?;
        self.mapped.extend(made);
        Ok(())
    }

    /// Has the kernel know the chunks. It has them at once, but then waits for packets, which nobody needs who takes
    /// nothing away: so that another thread waits there. None of them is left when it fails.
    fn insert(&self, chunks: &BTreeMap<u32, Chunk>) -> io::Result<()> {
        let Some((&last, chunk)) = chunks.last_key_value() else {
            return Ok(());
        };
        let id = sys::map_id(chunk.map.as_fd())?;
        let outer = Arc::clone(&self.outer);
        let maps: Vec<Arc<OwnedFd>> = chunks.values().map(|of| Arc::clone(&of.map)).collect();
        let indices: Vec<u32> = chunks.keys().copied().collect();
        let inserting = thread::Builder::new()
            .name("chunks".to_owned())
            .spawn(move || {
                let maps: Vec<_> = maps.iter().map(AsFd::as_fd).collect();
                sys::set_inner_maps(outer.as_fd(), &indices, &maps)
            })?;
        // They are stored in their order.
        let is_stored = || sys::inner_map(self.outer.as_fd(), last).map(|of| of == Some(id));
        let done = loop {
            match is_stored() {
                Ok(true) => return Ok(()),
                Ok(false) if inserting.is_finished() => break Ok(()),
                Ok(false) => thread::sleep(LOOK_INTERVAL),
                Err(error) => break Err(error),
            }
        };
        let inserted = inserting.join();
        let done = done.and(inserted.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())));
        if done.is_err() {
            for &number in chunks.keys() {
                // What is still there then is an empty chunk.
                let _ = sys::remove_inner_map(self.outer.as_fd(), number);
            }
        }
        done
    }
}
