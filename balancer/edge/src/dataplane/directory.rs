//! The directory in the kernel: what the maps of VIPs and services say, in lines that packets look up at once.

use std::{
    collections::BTreeMap,
    os::fd::BorrowedFd,
    sync::atomic::{AtomicU64, Ordering},
};

use balancer_common::{
    abi::{Service, ServiceKey},
    directory::{ALL_LINES, Known, LINES, Line, line_of},
};

use super::{
    error::{DataplaneError, kernel},
    sys::Mapping,
};

/// Words of 8 bytes of a line.
const LINE_WORDS: usize = size_of::<Line>() / 8;

/// The map of lines.
pub(super) struct Directory {
    lines: Mapping,
    /// The lines that services were taken out of and packets may still read, with how often.
    leaving: BTreeMap<u32, u32>,
}

impl Directory {
    pub(super) fn open(lines: BorrowedFd<'_>) -> Result<Self, DataplaneError> {
        let words = ALL_LINES as usize * LINE_WORDS;
        let lines = Mapping::new(lines, words).map_err(kernel("map the directory"))?;
        Ok(Self {
            lines,
            leaving: BTreeMap::new(),
        })
    }

    /// Whether packets find exactly this service, or have to ask the hash maps.
    pub(super) fn has(&self, key: &ServiceKey, service: Service) -> bool {
        match self.line(line_of(&key.vip)).service(key) {
            Known::Here(found) => found == service,
            Known::Nowhere => false,
            Known::Elsewhere => true,
        }
    }

    /// Has a service found; the hash maps must know it already, because a line may be full.
    pub(super) fn put(&mut self, key: &ServiceKey, service: Service) {
        let at = line_of(&key.vip);
        for line in self.line(at).with(key, service) {
            self.write(at, line);
        }
    }

    /// Has packets that find another table of a service find this one.
    pub(super) fn correct(&mut self, key: &ServiceKey, service: Service) {
        if let Known::Here(found) = self.line(line_of(&key.vip)).service(key)
            && found != service
        {
            self.put(key, service);
        }
    }

    /// Has a service not found any more. Gives the line that [`Directory::clear`] is to be told of once packets that found it
    /// are through.
    pub(super) fn remove(&mut self, key: &ServiceKey) -> Option<u32> {
        let at = line_of(&key.vip);
        let line = self.line(at).without(key)?;
        self.write(at, line);
        *self.leaving.entry(at).or_default() += 1;
        Some(at)
    }

    /// The lines in which services that are gone have left something: an earlier daemon ended before it was cleared.
    pub(super) fn left(&mut self) -> Vec<u32> {
        let left: Vec<u32> = (0..ALL_LINES)
            .filter(|&at| {
                let line = self.line(at);
                !line.is_full() && !self.leaving.contains_key(&at) && cleared(at, line) != line
            })
            .collect();
        for &at in &left {
            *self.leaving.entry(at).or_default() += 1;
        }
        left
    }

    /// Makes room of what removed services left behind in a line, unless more of them have left it since.
    pub(super) fn clear(&mut self, at: u32) {
        if let Some(times) = self.leaving.get_mut(&at) {
            *times -= 1;
            if *times > 0 {
                return;
            }
            self.leaving.remove(&at);
        }
        let line = self.line(at);
        if !line.is_full() {
            self.write(at, cleared(at, line));
        }
    }

    /// The lines that are full and need not be, where these are all that should not be empty: what they should be.
    pub(super) fn needlessly_full(&self, mut wanted: BTreeMap<u32, Line>) -> Vec<(u32, Line)> {
        for at in (0..ALL_LINES).filter(|&at| self.line(at).is_full()) {
            wanted.entry(at).or_insert(Line::EMPTY);
        }
        wanted.retain(|&at, line| !line.is_full() && self.line(at).is_full());
        wanted.into_iter().collect()
    }

    /// Writes those words of a line that differ, each at once, in an order in which packets may read them.
    pub(super) fn write(&mut self, at: u32, line: Line) {
        for (to, word) in self.words(at).iter().zip(line.0) {
            if to.load(Ordering::Relaxed) != word {
                to.store(word, Ordering::Release);
            }
        }
    }

    fn line(&self, at: u32) -> Line {
        let mut line = Line::EMPTY;
        for (to, from) in line.0.iter_mut().zip(self.words(at)) {
            *to = from.load(Ordering::Relaxed);
        }
        line
    }

    fn words(&self, at: u32) -> &[AtomicU64] {
        let first = at as usize * LINE_WORDS;
        &self.lines.words()[first..first + LINE_WORDS]
    }
}

fn cleared(at: u32, line: Line) -> Line {
    line.cleared(at < LINES)
}
