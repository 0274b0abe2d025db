//! Waiting until no packet reads former tables and backends any more, beside the task that owns the maps.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use balancer_core::model::BackendId;
use tracing::warn;

use super::tables::Outer;

/// Indices of former tables, and former backends.
#[derive(Debug, Default)]
pub(super) struct Former {
    /// Those whose memory is to be given back: two waits for packets.
    pub(super) emptied: Vec<u32>,
    /// Those that are to stay as they are, once no packet reads them: one wait.
    pub(super) kept: Vec<u32>,
    /// Those whose records are to be emptied: one wait.
    pub(super) backends: Vec<BackendId>,
}

impl Former {
    fn append(&mut self, mut more: Former) {
        self.emptied.append(&mut more.emptied);
        self.kept.append(&mut more.kept);
        self.backends.append(&mut more.backends);
    }
}

/// The thread that waits, and what it has been given.
pub(super) struct Reclaimer {
    given: Sender<Former>,
    done: Receiver<Former>,
    /// How often it has been given something and has not said to be done.
    under_way: usize,
    /// Backends of which it has not said that their records are empty.
    leaving: BTreeSet<BackendId>,
}

impl Reclaimer {
    pub(super) fn start(outer: Arc<Outer>) -> Self {
        let (given, formers) = channel::<Former>();
        let (finished, done) = channel();
        thread::spawn(move || {
            while let Ok(mut former) = formers.recv() {
                // A wait is one for all that came before it.
                for more in formers.try_iter() {
                    former.append(more);
                    if finished.send(Former::default()).is_err() {
                        return;
                    }
                }
                // Their memory stays until they are used again; what they hold, nobody reads.
                if let Err(error) = outer.retire(&former) {
                    warn!("former tables and backends stay in the kernel's memory: {error}");
                    // Packets may still read them: only another array in their place is safe.
                    former.emptied.append(&mut former.kept);
                }
                if finished.send(former).is_err() {
                    return;
                }
            }
        });
        Self {
            given,
            done,
            under_way: 0,
            leaving: BTreeSet::new(),
        }
    }

    /// Has it wait for packets that read these, which no service names any more.
    pub(super) fn reclaim(&mut self, former: Former) {
        self.leaving.extend(&former.backends);
        if self.given.send(former).is_ok() {
            self.under_way += 1;
        }
    }

    /// Whether packets may still read the record of this former backend.
    pub(super) fn has(&self, id: BackendId) -> bool {
        self.leaving.contains(&id)
    }

    /// What is done since the last time.
    pub(super) fn take_done(&mut self) -> Former {
        let mut all = Former::default();
        while let Ok(done) = self.done.try_recv() {
            self.note(&done);
            all.append(done);
        }
        all
    }

    /// Waits for something to be done; `None` when nothing is under way.
    pub(super) fn wait(&mut self) -> Option<Former> {
        if self.under_way == 0 {
            return None;
        }
        let done = self.done.recv().ok()?;
        self.note(&done);
        Some(done)
    }

    fn note(&mut self, done: &Former) {
        self.under_way -= 1;
        for id in &done.backends {
            self.leaving.remove(id);
        }
    }
}
