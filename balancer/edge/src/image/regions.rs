//! Which lines of which chunks tables have: pure arithmetic.
//!
//! A region is as long as a power of two, begins at a multiple of its length, and lies within one chunk (a buddy
//! allocator). The lowest free place is taken first, so that tables lie dense.

use std::collections::{BTreeMap, BTreeSet};

use balancer_common::abi::{CHUNK_LINES, LINE_SLOTS, Service};

/// The lines of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Region {
    /// The first of them, counted from the first line of chunk 0.
    pub(crate) first: u32,
    /// How many: a power of two.
    pub(crate) lines: u32,
}

impl Region {
    /// The region that packets of a service use.
    pub(crate) fn of(service: Service) -> Self {
        Self {
            first: service.table,
            lines: lines(service.slots()),
        }
    }

    /// How many slots its table has.
    pub(crate) fn slots(self) -> usize {
        self.lines as usize * LINE_SLOTS
    }

    /// The number of its chunk.
    pub(crate) fn chunk(self) -> u32 {
        self.first / CHUNK_LINES
    }

    /// Its first line within the chunk.
    pub(crate) fn within(self) -> usize {
        (self.first % CHUNK_LINES) as usize
    }

    /// Whether it lies as regions do.
    fn is_sound(self) -> bool {
        self.lines.is_power_of_two()
            && self.lines <= CHUNK_LINES
            && self.first.is_multiple_of(self.lines)
    }
}

/// The lines of a table of so many slots, a power of two.
pub(crate) fn lines(slots: usize) -> u32 {
    slots.div_ceil(LINE_SLOTS) as u32
}

/// The regions of all chunks that there are.
#[derive(Debug)]
pub(crate) struct Regions {
    /// How many chunks there may be.
    most: u32,
    chunks: BTreeSet<u32>,
    /// Chunks that are no longer there, but whose numbers rest.
    leaving: BTreeSet<u32>,
    /// First lines of free blocks, by the logarithm of their length.
    free: Vec<BTreeSet<u32>>,
    /// The lengths of regions in use, by their first line.
    taken: BTreeMap<u32, u32>,
}

impl Regions {
    /// No chunk yet, of at most so many.
    pub(crate) fn new(most: u32) -> Self {
        Self {
            most,
            chunks: BTreeSet::new(),
            leaving: BTreeSet::new(),
            free: vec![BTreeSet::new(); CHUNK_LINES.ilog2() as usize + 1],
            taken: BTreeMap::new(),
        }
    }

    /// Knows a chunk that exists already, as free.
    pub(crate) fn add_chunk(&mut self, chunk: u32) {
        if self.chunks.insert(chunk) {
            self.release(chunk * CHUNK_LINES, CHUNK_LINES);
        }
    }

    /// Takes so many lines, a power of two, and a chunk more when there is no room in the others: whoever asks sees from
    /// [`Region::chunk`] which chunks to make. `None` when there can't be another chunk.
    pub(crate) fn take(&mut self, lines: u32) -> Option<Region> {
        let order = lines.ilog2() as usize;
        let found = |free: &[BTreeSet<u32>]| {
            (order..free.len()).find_map(|order| Some((order, *free[order].first()?)))
        };
        let (mut of, first) = match found(&self.free) {
            Some(found) => found,
            None => {
                let chunk = (0..self.most)
                    .find(|chunk| !self.chunks.contains(chunk) && !self.leaving.contains(chunk))?;
                self.add_chunk(chunk);
                found(&self.free)?
            }
        };
        self.free[of].remove(&first);
        while of > order {
            of -= 1;
            self.free[of].insert(first + (1 << of));
        }
        self.taken.insert(first, lines);
        Some(Region { first, lines })
    }

    /// Takes exactly this region; gives whether it was free.
    pub(crate) fn claim(&mut self, region: Region) -> bool {
        if !region.is_sound() {
            return false;
        }
        let order = region.lines.ilog2() as usize;
        let around = |of: usize| (region.first >> of) << of;
        let Some(mut of) = (order..self.free.len()).find(|&of| self.free[of].contains(&around(of)))
        else {
            return false;
        };
        self.free[of].remove(&around(of));
        while of > order {
            of -= 1;
            self.free[of].insert(around(of) ^ (1 << of));
        }
        self.taken.insert(region.first, region.lines);
        true
    }

    /// Whether this region is in use.
    pub(crate) fn is_taken(&self, region: Region) -> bool {
        self.taken.get(&region.first) == Some(&region.lines)
    }

    /// All regions in use.
    pub(crate) fn taken(&self) -> impl Iterator<Item = Region> {
        self.taken
            .iter()
            .map(|(&first, &lines)| Region { first, lines })
    }

    /// Gives a region back, which may be taken again at once.
    pub(crate) fn give_back(&mut self, region: Region) {
        if self.is_taken(region) {
            self.taken.remove(&region.first);
            self.release(region.first, region.lines);
        }
    }

    /// Takes chunks out in which nothing is in use; their numbers rest until [`Regions::forget`].
    pub(crate) fn leave(&mut self) -> Vec<u32> {
        let whole = self.free.last_mut().map(std::mem::take).unwrap_or_default();
        let chunks: Vec<u32> = whole.iter().map(|first| first / CHUNK_LINES).collect();
        for chunk in &chunks {
            self.chunks.remove(chunk);
            self.leaving.insert(*chunk);
        }
        chunks
    }

    /// The number of a chunk that left may be used again.
    pub(crate) fn forget(&mut self, chunk: u32) {
        self.leaving.remove(&chunk);
    }

    fn release(&mut self, mut first: u32, lines: u32) {
        let mut order = lines.ilog2() as usize;
        while order + 1 < self.free.len() {
            let buddy = first ^ (1 << order);
            if !self.free[order].remove(&buddy) {
                break;
            }
            first &= buddy;
            order += 1;
        }
        self.free[order].insert(first);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: u32 = 3;

    /// Lines that are free, by counting.
    fn free(regions: &Regions) -> u32 {
        let of = |(order, firsts): (usize, &BTreeSet<u32>)| (firsts.len() as u32) << order;
        regions.free.iter().enumerate().map(of).sum()
    }

    #[test]
    fn a_chunk_is_added_when_there_is_no_room_and_tables_lie_side_by_side() {
        let mut regions = Regions::new(MOST);
        let taken: Vec<u32> = [8, 8, 16, 2_048, 8]
            .map(|lines| regions.take(lines).unwrap().first)
            .to_vec();
        assert_eq!(taken, [0, 8, 16, 2_048, 32]);
        assert!(regions.chunks == BTreeSet::from([0, 1]));
    }

    #[test]
    fn as_many_of_the_largest_tables_as_chunks_find_room_and_no_more() {
        let mut regions = Regions::new(MOST);
        for _ in 0..MOST {
            assert!(regions.take(CHUNK_LINES).is_some());
        }
        assert_eq!(regions.take(8), None);
        regions.give_back(Region {
            first: CHUNK_LINES,
            lines: CHUNK_LINES,
        });
        assert_eq!(regions.take(8).unwrap().first, CHUNK_LINES);
    }

    #[test]
    fn a_chunk_without_tables_leaves_and_its_number_rests() {
        let mut regions = Regions::new(MOST);
        let [first, second] = [0, 1].map(|_| regions.take(CHUNK_LINES).unwrap());
        regions.give_back(first);
        assert_eq!(regions.leave(), [0]);
        assert!(!regions.chunks.contains(&0));
        assert_eq!(regions.take(8).unwrap().chunk(), 2);
        regions.forget(0);
        assert_eq!(regions.take(CHUNK_LINES).unwrap().chunk(), 0);
        assert!(regions.is_taken(second));
        assert_eq!(regions.leave(), [0; 0]);
    }

    #[test]
    fn what_is_in_use_or_lies_askew_is_not_claimed() {
        let mut regions = Regions::new(MOST);
        regions.add_chunk(1);
        let region = |first, lines| Region { first, lines };
        assert!(regions.claim(region(2_048 + 64, 64)));
        for refused in [
            region(2_048 + 64, 64),
            region(2_048 + 64, 8),
            region(2_048, 128),
            region(2_048 + 8, 16),
            region(2_048, 24),
            region(0, 4_096),
            region(0, 8),
            region(u32::MAX, 1),
        ] {
            assert!(!regions.claim(refused), "{refused:?}");
        }
        assert_eq!(free(&regions), CHUNK_LINES - 64);
        assert!(regions.claim(region(2_048, 64)));
    }

    /// What becomes of regions: so many lines are taken, or the one at this place is given back.
    #[derive(Clone, Debug)]
    enum Turn {
        Take(u32),
        GiveBack(usize),
        Leave,
    }

    fn turn() -> impl Strategy<Value = Turn> {
        prop_oneof![
            4 => (3_u32..=11).prop_map(|order| Turn::Take(1 << order)),
            3 => any::<usize>().prop_map(Turn::GiveBack),
            1 => Just(Turn::Leave),
        ]
    }

    proptest! {
        #[test]
        fn regions_never_overlap_nor_straddle_and_nothing_is_lost(turns in prop::collection::vec(turn(), 1..200)) {
            let mut regions = Regions::new(8);
            let mut held: Vec<Region> = Vec::new();
            for turn in turns {
                match turn {
                    Turn::Take(lines) => {
                        if let Some(region) = regions.take(lines) {
                            prop_assert_eq!(region.lines, lines);
                            prop_assert!(region.is_sound());
                            prop_assert!(regions.chunks.contains(&region.chunk()));
                            let apart = |other: &Region| {
                                region.first + region.lines <= other.first
                                    || other.first + other.lines <= region.first
                            };
                            prop_assert!(held.iter().all(apart));
                            held.push(region);
                        }
                    }
                    Turn::GiveBack(place) if !held.is_empty() => {
                        let place = place % held.len();
                        regions.give_back(held.swap_remove(place));
                    }
                    Turn::GiveBack(_) => {}
                    Turn::Leave => for chunk in regions.leave() {
                        prop_assert!(held.iter().all(|region| region.chunk() != chunk));
                        regions.forget(chunk);
                    },
                }
                let used: u32 = held.iter().map(|region| region.lines).sum();
                prop_assert_eq!(used + free(&regions), regions.chunks.len() as u32 * CHUNK_LINES);
            }
            // The same regions, claimed in any order by who starts anew.
            let mut anew = Regions::new(8);
            regions.chunks.iter().for_each(|&chunk| anew.add_chunk(chunk));
            for &region in held.iter().rev() {
                prop_assert!(anew.claim(region));
            }
            prop_assert_eq!(&anew.free, &regions.free);
            for region in held {
                regions.give_back(region);
            }
            prop_assert_eq!(regions.free[11].len(), regions.chunks.len());
        }
    }
}
