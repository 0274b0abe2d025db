//! What a daemon writes into a line, in steps of which each changes one word that packets compare.

use alloc::{vec, vec::Vec};

use super::{FULL, Line, OF_IPV4, OF_IPV6, ipv4_key};
use crate::abi::{Service, ServiceKey};

impl Line {
    /// The lines to write, one after the other, so that a service is there; a full line stays as it is.
    pub fn with(self, key: &ServiceKey, service: Service) -> Vec<Line> {
        if self.is_full() {
            return Vec::new();
        }
        if let Some(entry) = self.entry(key) {
            return vec![self.set(service_at(key, entry), service.word())];
        }
        let Some(entry) = self.free(key) else {
            return vec![self.set(0, FULL)];
        };
        let mut line = self.set(service_at(key, entry), service.word());
        if key.vip.is_ipv4() {
            return vec![line, line.set(entry, ipv4_key(key))];
        }
        let at = 3 * entry;
        let [high, low] = key.vip.0;
        line = line.set(at + 1, high).set(at + 2, low);
        vec![line, line.set(at, key.port_and_protocol)]
    }

    /// The line to write so that a service is not there; nothing if it is not, or if the line is full.
    ///
    /// Packets that have compared the key may still read the rest: [`Line::cleared`] only after they are through.
    pub fn without(self, key: &ServiceKey) -> Option<Line> {
        if self.is_full() {
            return None;
        }
        let entry = self.entry(key)?;
        let at = if key.vip.is_ipv4() { entry } else { 3 * entry };
        Some(self.set(at, 0))
    }

    /// The line without what entries that have no key left behind.
    pub fn cleared(self, ipv4: bool) -> Line {
        let mut line = self;
        for entry in 0..if ipv4 { OF_IPV4 } else { OF_IPV6 } {
            if ipv4 && line.0[entry] == 0 {
                line = line.set(4 + entry, 0);
            }
            if !ipv4 && line.0[3 * entry] == 0 {
                line = line.set(3 * entry + 1, 0).set(3 * entry + 2, 0);
                line = line.set(6 + entry, 0);
            }
        }
        line
    }

    /// Whether the hash maps are asked instead.
    pub fn is_full(&self) -> bool {
        self.0[0] == FULL
    }

    /// The same line, marked full: what it held besides its first key is still read by packets that saw it before.
    pub fn full(self) -> Line {
        self.set(0, FULL)
    }

    fn set(mut self, at: usize, word: u64) -> Line {
        self.0[at] = word;
        self
    }

    /// Where a key is.
    fn entry(&self, key: &ServiceKey) -> Option<usize> {
        let words = &self.0;
        if key.vip.is_ipv4() {
            return (0..OF_IPV4).find(|&entry| words[entry] == ipv4_key(key));
        }
        let wanted = [key.port_and_protocol, key.vip.0[0], key.vip.0[1]];
        (0..OF_IPV6).find(|&entry| words[3 * entry..3 * entry + 3] == wanted)
    }

    /// Where nothing is, nor was lately.
    fn free(&self, key: &ServiceKey) -> Option<usize> {
        let words = &self.0;
        if key.vip.is_ipv4() {
            return (0..OF_IPV4).find(|&entry| words[entry] == 0 && words[4 + entry] == 0);
        }
        (0..OF_IPV6).find(|&entry| words[3 * entry] == 0 && words[6 + entry] == 0)
    }
}

impl Service {
    /// As one word of a line.
    pub(super) fn word(self) -> u64 {
        u64::from(self.table) | u64::from(self.shift) << 32
    }
}

fn service_at(key: &ServiceKey, entry: usize) -> usize {
    if key.vip.is_ipv4() {
        4 + entry
    } else {
        6 + entry
    }
}
