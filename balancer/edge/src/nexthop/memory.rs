//! MAC addresses that were known a moment ago.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::neighbour::{Neighbour, Place};

/// The kernel gives up a silent neighbour after three seconds, by default.
const GRACE: Duration = Duration::from_secs(5);

/// The MAC address of each neighbour: what the kernel knows, or knew lately.
///
/// The kernel throws entries away when its table is full or somebody flushes it. That says nothing of the neighbour, and
/// its answer to the next question is milliseconds away: it keeps its MAC address until then. One that fails to answer
/// loses it.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    macs: BTreeMap<Place, ([u8; 6], Instant)>,
}

impl Memory {
    /// Takes in what the kernel knows at `now` of all neighbours that matter; forgets all others.
    pub(crate) fn take_in(&mut self, neighbours: &BTreeMap<Place, Neighbour>, now: Instant) {
        self.macs
            .retain(|place, (_, heard)| match neighbours.get(place) {
                Some(Neighbour::Missing | Neighbour::Resolving) => {
                    now.duration_since(*heard) < GRACE
                }
                _ => false,
            });
        self.macs.extend(
            neighbours
                .iter()
                .filter_map(|(&place, neighbour)| match *neighbour {
                    Neighbour::Known { mac, .. } => Some((place, (mac, now))),
                    _ => None,
                }),
        );
    }

    /// Where to send to.
    pub(crate) fn mac(&self, place: Place) -> Option<[u8; 6]> {
        self.macs.get(&place).map(|&(mac, _)| mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const KNOWN: Neighbour = Neighbour::Known {
        mac: MAC,
        stale: false,
    };

    fn place() -> Place {
        (1, [10, 0, 0, 2].into())
    }

    /// What is remembered after the kernel has said these, at these numbers of seconds.
    fn after(said: &[(u64, Option<Neighbour>)]) -> Option<[u8; 6]> {
        let (mut memory, start) = (Memory::default(), Instant::now());
        for &(second, neighbour) in said {
            let neighbours = neighbour
                .map(|neighbour| (place(), neighbour))
                .into_iter()
                .collect();
            memory.take_in(&neighbours, start + Duration::from_secs(second));
        }
        memory.mac(place())
    }

    #[test]
    fn an_entry_that_goes_is_remembered_while_it_is_asked_for() {
        assert_eq!(
            after(&[(0, Some(KNOWN)), (1, Some(Neighbour::Missing))]),
            Some(MAC)
        );
        let asked = [
            (0, Some(KNOWN)),
            (1, Some(Neighbour::Missing)),
            (2, Some(Neighbour::Resolving)),
        ];
        assert_eq!(after(&asked), Some(MAC));
    }

    #[test]
    fn a_neighbour_that_fails_to_answer_is_forgotten_at_once() {
        assert_eq!(
            after(&[(0, Some(KNOWN)), (1, Some(Neighbour::Failed))]),
            None
        );
        let then = [
            (0, Some(KNOWN)),
            (1, Some(Neighbour::Failed)),
            (1, Some(Neighbour::Resolving)),
        ];
        assert_eq!(after(&then), None);
    }

    #[test]
    fn memory_ends_when_the_kernel_never_comes_to_an_answer() {
        let missing = Some(Neighbour::Missing);
        assert_eq!(after(&[(0, Some(KNOWN)), (4, missing)]), Some(MAC));
        assert_eq!(after(&[(0, Some(KNOWN)), (4, missing), (6, missing)]), None);
    }

    #[test]
    fn neighbours_that_no_longer_matter_are_forgotten() {
        assert_eq!(
            after(&[(0, Some(KNOWN)), (1, None), (1, Some(Neighbour::Missing))]),
            None
        );
    }

    #[test]
    fn a_new_mac_replaces_the_old_one() {
        let new = Neighbour::Known {
            mac: [2; 6],
            stale: true,
        };
        assert_eq!(after(&[(0, Some(KNOWN)), (1, Some(new))]), Some([2; 6]));
    }
}
