//! What programs have counted, read beside whoever writes the maps.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use aya::util::nr_cpus;
use balancer_common::{Reason, abi::Traffic};
use balancer_core::model::BackendId;

use super::{
    error::{DataplaneError, kernel},
    sys,
};

/// Words of 8 bytes of a row, on each CPU.
const ROW_WORDS: usize = size_of::<Traffic>() / 8;

/// The rows of a per-CPU array.
pub(super) struct Rows {
    map: OwnedFd,
    /// Words of a row, over all CPUs that there may be.
    words: usize,
}

impl Rows {
    pub(super) fn open(map: OwnedFd) -> Result<Self, DataplaneError> {
        let cpus = nr_cpus().map_err(|(_, error)| kernel("count the CPUs")(error))?;
        let words = cpus * ROW_WORDS;
        Ok(Self { map, words })
    }

    /// The sum of a row over all CPUs.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the row be read.
    fn total(&self, index: u32) -> Result<Traffic, DataplaneError> {
        let mut row = vec![0; self.words];
        sys::row(self.map.as_fd(), index, &mut row).map_err(kernel("read a counter"))?;
        Ok(sum(&row))
    }

    /// How often each of these reasons was met, over all CPUs.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the rows be read.
    pub(super) fn of_reasons(
        &self,
        wanted: impl Fn(Reason) -> bool,
    ) -> Result<Vec<(Reason, Traffic)>, DataplaneError> {
        let reasons = Reason::ALL.iter().filter(|&&reason| wanted(reason));
        reasons
            .map(|&reason| Ok((reason, self.total(reason as u32)?)))
            .collect()
    }
}

/// The edge's counters. A clone reads the same ones; nobody who reads waits for whoever writes the maps.
#[derive(Clone)]
pub struct Counters(Arc<Maps>);

struct Maps {
    traffic: Rows,
    reasons: Rows,
}

impl Counters {
    pub(super) fn open(traffic: OwnedFd, reasons: OwnedFd) -> Result<Self, DataplaneError> {
        Ok(Self(Arc::new(Maps {
            traffic: Rows::open(traffic)?,
            reasons: Rows::open(reasons)?,
        })))
    }

    /// What one backend has been sent, over all CPUs.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the row be read.
    pub fn traffic(&self, id: BackendId) -> Result<Traffic, DataplaneError> {
        self.0.traffic.total(u32::from(id.0))
    }

    /// How often each of the edge's reasons was met, over all CPUs.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the rows be read.
    pub fn reasons(&self) -> Result<Vec<(Reason, Traffic)>, DataplaneError> {
        let edge = |reason| reason < Reason::Decapsulated;
        self.0.reasons.of_reasons(edge)
    }

    /// Has a backend's row begin at zero.
    pub(super) fn clear(&self, id: BackendId) -> Result<(), DataplaneError> {
        let rows = &self.0.traffic;
        let zero = vec![0; rows.words];
        sys::set_row(rows.map.as_fd(), u32::from(id.0), &zero).map_err(kernel("clear a counter"))
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
