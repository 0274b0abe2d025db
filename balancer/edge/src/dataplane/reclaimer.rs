//! Waiting until no packet reads former tables any more, beside the task that owns the maps.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use tracing::warn;

use super::tables::Outer;

/// Indices of former tables.
#[derive(Debug, Default)]
pub(super) struct Former {
    /// Those whose memory is to be given back: two waits for packets.
    pub(super) emptied: Vec<u32>,
    /// Those that are to stay as they are, once no packet reads them: one wait.
    pub(super) kept: Vec<u32>,
}

/// The thread that waits, and what it has been given.
pub(super) struct Reclaimer {
    given: Sender<Former>,
    done: Receiver<Former>,
    /// How often it has been given something and has not said to be done.
    under_way: usize,
}

impl Reclaimer {
    pub(super) fn start(outer: Arc<Outer>) -> Self {
        let (given, formers) = channel::<Former>();
        let (finished, done) = channel();
        thread::spawn(move || {
            while let Ok(mut former) = formers.recv() {
                // A wait is one for all that came before it.
                for more in formers.try_iter() {
                    former.emptied.extend(more.emptied);
                    former.kept.extend(more.kept);
                    if finished.send(Former::default()).is_err() {
                        return;
                    }
                }
                // Their memory stays until they are used again; what they hold, nobody reads.
                if let Err(error) = outer.retire(&former) {
                    warn!("the memory of former tables stays: {error}");
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
        }
    }
    /// Has it wait for packets that read these, which no service names any more.
    pub(super) fn reclaim(&mut self, former: Former) {
        if self.given.send(former).is_ok() {
            self.under_way += 1;
        }
    }

    /// What is done since the last time.
    pub(super) fn take_done(&mut self) -> Former {
        let mut all = Former::default();
        for done in self.done.try_iter() {
            self.under_way -= 1;
            all.emptied.extend(done.emptied);
            all.kept.extend(done.kept);
        }
        all
    }

    /// Waits for something to be done; `None` when nothing is under way.
    pub(super) fn wait(&mut self) -> Option<Former> {
        if self.under_way == 0 {
            return None;
        }
        let done = self.done.recv().ok()?;
        self.under_way -= 1;
        Some(done)
    }
}
