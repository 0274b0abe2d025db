//! What publications took away from packets, used again once no packet is left that may read it.
//!
//! The wait is the kernel's grace period, 10 to 20 ms in which a caller would do nothing. So a thread waits, once for
//! everything that was taken away before it began.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use balancer_common::directory::Line;
use balancer_core::model::BackendId;
use tracing::error;

use super::{
    backends::Backends,
    directory::Directory,
    error::{DataplaneError, kernel},
    tables::Tables,
};
use crate::image::{Region, Regions};

/// How long after the kernel refused to wait it is asked again. Nothing is used again meanwhile.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The longest time that somebody waits who needs what is not used again yet. A grace period takes milliseconds.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The memory that packets read and publications write.
pub(super) struct SharedMemory {
    /// Which regions of the tables' memory are in use.
    pub(super) regions: Regions,
    pub(super) tables: Tables,
    pub(super) backends: Backends,
    pub(super) directory: Directory,
}

/// What a publication took away.
#[derive(Debug, Default)]
pub(super) struct Freed {
    /// Where tables were.
    pub(super) regions: Vec<Region>,
    /// Whose records are to be cleared.
    pub(super) backends: Vec<BackendId>,
    /// The lines of the directory that services were taken out of.
    pub(super) lines: Vec<u32>,
}

impl Freed {
    fn is_empty(&self) -> bool {
        self.regions.is_empty() && self.backends.is_empty() && self.lines.is_empty()
    }
}

/// Memory that may be locked: a thread that failed while it held it left it whole.
pub(super) fn locked<T>(memory: &Mutex<T>) -> MutexGuard<'_, T> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread that waits, and what it has not done yet.
pub(super) struct Reclaimer {
    to: Option<mpsc::Sender<Freed>>,
    pending: Arc<Pending>,
    thread: Option<JoinHandle<()>>,
}

/// How many publications have memory that packets may still read.
#[derive(Default)]
struct Pending {
    count: Mutex<usize>,
    less: Condvar,
    /// Nothing that the kernel refuses is tried again: whoever starts next finds what is left.
    is_ending: AtomicBool,
}

impl Reclaimer {
    /// Starts the thread.
    pub(super) fn start(memory: Arc<Mutex<SharedMemory>>) -> Result<Self, DataplaneError> {
        let (to, from) = mpsc::channel();
        let pending = Arc::new(Pending::default());
        let theirs = Arc::clone(&pending);
        let thread = thread::Builder::new()
            .name("reclaimer".to_owned())
            .spawn(move || reclaim(&memory, &from, &theirs))
            .map_err(kernel("start a thread"))?;
        Ok(Self {
            to: Some(to),
            pending,
            thread: Some(thread),
        })
    }

    /// Hands over what was taken away; returns at once.
    pub(super) fn reclaim(&self, freed: Freed) {
        let Some(to) = self.to.as_ref().filter(|_| !freed.is_empty()) else {
            return;
        };
        *locked(&self.pending.count) += 1;
        if to.send(freed).is_err() {
            *locked(&self.pending.count) -= 1;
        }
    }

    /// Returns when everything that was handed over may be used again.
    ///
    /// # Errors
    ///
    /// When the kernel lets nobody wait for packets.
    pub(super) fn settle(&self) -> Result<(), DataplaneError> {
        let count = locked(&self.pending.count);
        let waited = (self.pending.less)
            .wait_timeout_while(count, SETTLE_TIMEOUT, |count| *count > 0)
            .unwrap_or_else(PoisonError::into_inner);
        match waited.1.timed_out() {
            true => Err(kernel("wait for packets")(io::Error::from(
                io::ErrorKind::TimedOut,
            ))),
            false => Ok(()),
        }
    }
}

impl Drop for Reclaimer {
    /// So that whoever starts next finds nothing half done.
    fn drop(&mut self) {
        self.pending.is_ending.store(true, Ordering::Relaxed);
        self.to = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn reclaim(memory: &Mutex<SharedMemory>, from: &mpsc::Receiver<Freed>, pending: &Pending) {
    while let Ok(first) = from.recv() {
        // Whatever was handed over by now was taken away before the wait.
        let all: Vec<Freed> = std::iter::once(first).chain(from.try_iter()).collect();
        let wait = locked(memory).tables.wait();
        if !pending.insist("wait for packets", || wait.run()) {
            return;
        }
        let leaving = {
            let mut memory = locked(memory);
            for freed in &all {
                memory.release(freed);
            }
            let unused = memory.regions.leave();
            memory.tables.leave(unused)
        };
        *locked(&pending.count) -= all.len();
        pending.less.notify_all();
        if !pending.insist("give memory back", || leaving.remove()) {
            return;
        }
        let mut memory = locked(memory);
        for &chunk in leaving.chunks() {
            memory.regions.forget(chunk);
        }
    }
}

impl Pending {
    /// Until it is done, for memory that packets may read must not be used again; or until the end. Gives whether it is done.
    fn insist(&self, doing: &str, act: impl Fn() -> io::Result<()>) -> bool {
        while let Err(source) = act() {
            if self.is_ending.load(Ordering::Relaxed) {
                return false;
            }
            error!("cannot {doing}, and will try again in a second: {source}");
            thread::sleep(RETRY_INTERVAL);
        }
        true
    }
}

impl SharedMemory {
    /// Writes lines of the directory anew that more services filled than there are now. They stay marked full, so that no
    /// packet reads them, until they are whole.
    pub(super) fn empty(&mut self, lines: Vec<(u32, Line)>) -> Result<(), DataplaneError> {
        let wait = self.tables.wait();
        let waited = || wait.run().map_err(kernel("wait for packets"));
        waited()?;
        for &(at, line) in &lines {
            self.directory.write(at, line.full());
        }
        waited()?;
        for (at, line) in lines {
            self.directory.write(at, line);
        }
        Ok(())
    }

    fn release(&mut self, freed: &Freed) {
        for &region in &freed.regions {
            self.regions.give_back(region);
        }
        for &id in &freed.backends {
            self.backends.clear(id);
        }
        for &at in &freed.lines {
            self.directory.clear(at);
        }
    }
}
