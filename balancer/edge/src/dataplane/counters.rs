//! What the edge's programs have counted, read beside whoever writes the maps.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use aya::util::nr_cpus;
use balancer_common::{Reason, abi::Traffic, reason};

use super::{
    error::{DataplaneError, kernel},
    sys,
};
use balancer_core::model::BackendId;

/// Words of 8 bytes of a row, on each CPU.
const ROW_WORDS: usize = size_of::<Traffic>() / 8;

/// The edge's counters. A clone reads the same ones; nobody who reads waits for whoever writes the maps.
#[derive(Clone)]
pub struct Counters(Arc<Maps>);

struct Maps {
    traffic: OwnedFd,
    reasons: OwnedFd,
    /// Words of a row of either, over all CPUs that there may be.
    words: usize,
}

impl Counters {
    pub(super) fn open(traffic: OwnedFd, reasons: OwnedFd) -> Result<Self, DataplaneError> {
        let cpus = nr_cpus().map_err(|(_, error)| kernel("count the CPUs")(error))?;
        Ok(Self(Arc::new(Maps {
            traffic,
            reasons,
            words: cpus * ROW_WORDS,
        })))
    }

    /// What one backend has been sent, over all CPUs.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the row be read.
    pub fn traffic(&self, id: BackendId) -> Result<Traffic, DataplaneError> {
        let mut row = vec![0; self.0.words];
        sys::row(self.0.traffic.as_fd(), u32::from(id.0), &mut row)
            .map_err(kernel("read a counter"))?;
        Ok(sum(&row))
    }

    /// How often each of the edge's reasons was met, over all CPUs.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the rows be read.
    pub fn reasons(&self) -> Result<Vec<(Reason, Traffic)>, DataplaneError> {
        let rows = self.all(&self.0.reasons, reason::ROWS)?;
        let edge = Reason::ALL
            .iter()
            .filter(|&&reason| reason < Reason::Decapsulated);
        Ok(edge
            .map(|&reason| (reason, rows[reason as usize]))
            .collect())
    }

    /// Has a backend's row begin at zero.
    pub(super) fn clear(&self, id: BackendId) -> Result<(), DataplaneError> {
        let zero = vec![0; self.0.words];
        sys::set_row(self.0.traffic.as_fd(), u32::from(id.0), &zero)
            .map_err(kernel("clear a counter"))
    }

    fn all(&self, map: &OwnedFd, rows: u32) -> Result<Vec<Traffic>, DataplaneError> {
        let mut sums = Vec::with_capacity(rows as usize);
        sys::rows(map.as_fd(), rows, self.0.words, |row| sums.push(sum(row)))
            .map_err(kernel("read the counters"))?;
        Ok(sums)
    }
}

/// The sum of a row over all CPUs.
fn sum(row: &[u64]) -> Traffic {
    row.chunks_exact(ROW_WORDS)
        .fold(Traffic::default(), |sum, cpu| Traffic {
            packets: sum.packets + cpu[0],
            bytes: sum.bytes + cpu[1],
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_the_sum_of_its_cpus_packets_and_bytes() {
        let row = [1, 100, 0, 0, 2, 300];
        let total = Traffic {
            packets: 3,
            bytes: 400,
        };
        assert_eq!(sum(&row), total);
    }
}
