//! Emptying tables that no packet meets any more, beside the task that owns the maps: each takes two waits for packets.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use tracing::warn;

use super::tables::Outer;

/// The thread that empties tables, and what it has been given.
pub(super) struct Reclaimer {
    given: Sender<Vec<u32>>,
    done: Receiver<Vec<u32>>,
    /// How many lists of indices it has been given and has not said to be done.
    under_way: usize,
}

impl Reclaimer {
    pub(super) fn start(outer: Arc<Outer>) -> Self {
        let (given, indices) = channel::<Vec<u32>>();
        let (finished, done) = channel();
        thread::spawn(move || {
            while let Ok(indices) = indices.recv() {
                // Their memory stays until they are used again; what they hold, nobody reads.
                if let Err(error) = outer.empty(&indices) {
                    warn!(
                        "the memory of {} former tables stays: {error}",
                        indices.len()
                    );
                }
                if finished.send(indices).is_err() {
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

    /// Has indices emptied that no service names any more.
    pub(super) fn reclaim(&mut self, indices: Vec<u32>) {
        if self.given.send(indices).is_ok() {
            self.under_way += 1;
        }
    }

    /// The indices that have been emptied since the last time.
    pub(super) fn take_done(&mut self) -> Vec<u32> {
        let done: Vec<Vec<u32>> = self.done.try_iter().collect();
        self.under_way -= done.len();
        done.concat()
    }

    /// Waits for the next indices to be emptied; `None` when none are under way.
    pub(super) fn wait(&mut self) -> Option<Vec<u32>> {
        if self.under_way == 0 {
            return None;
        }
        let done = self.done.recv().ok()?;
        self.under_way -= 1;
        Some(done)
    }
}
