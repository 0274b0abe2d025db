//! The directory in the kernel: what the maps of VIPs and services say, in lines that packets look up at once.

use std::collections::BTreeMap;

use aya::maps::{Array, MapData};
use balancer_common::{
    Address,
    abi::{Service, ServiceKey},
    directory::{Line, line_of},
};

use super::error::{DataplaneError, kernel};

/// The map of lines.
pub(super) struct Directory(Array<MapData, Line>);

impl Directory {
    pub(super) fn new(lines: Array<MapData, Line>) -> Self {
        Self(lines)
    }

    /// Has a service found; the hash maps must know it already, because a line may be full.
    pub(super) fn put(&mut self, key: &ServiceKey, service: Service) -> Result<(), DataplaneError> {
        let at = line_of(&key.vip);
        for line in self.line(at)?.with(key, service) {
            self.write(at, line)?;
        }
        Ok(())
    }

    /// Has a service not found any more. Whether to [`Directory::clear`] its line once packets that found it are through.
    pub(super) fn remove(&mut self, key: &ServiceKey) -> Result<bool, DataplaneError> {
        let at = line_of(&key.vip);
        match self.line(at)?.without(key) {
            Some(line) => self.write(at, line).map(|()| true),
            None => Ok(false),
        }
    }

    /// Makes room of what removed services left behind.
    pub(super) fn clear(&mut self, vip: &Address) -> Result<(), DataplaneError> {
        let at = line_of(vip);
        let line = self.line(at)?;
        if line.is_full() {
            return Ok(());
        }
        self.write(at, line.cleared(vip.is_ipv4()))
    }

    /// The lines that are full and need not be: what they should be.
    pub(super) fn needlessly_full(
        &self,
        services: impl IntoIterator<Item = (ServiceKey, Service)>,
    ) -> Result<Vec<(u32, Line)>, DataplaneError> {
        let mut fresh: BTreeMap<u32, Line> = BTreeMap::new();
        for (key, service) in services {
            let line = fresh.entry(line_of(&key.vip)).or_insert(Line::EMPTY);
            if let Some(last) = line.with(&key, service).pop() {
                *line = last;
            }
        }
        let mut found = Vec::new();
        for (at, line) in fresh {
            if !line.is_full() && self.line(at)?.is_full() {
                found.push((at, line));
            }
        }
        Ok(found)
    }

    pub(super) fn write(&mut self, at: u32, line: Line) -> Result<(), DataplaneError> {
        self.0
            .set(at, line, 0)
            .map_err(kernel("write a line of the directory"))
    }

    fn line(&self, at: u32) -> Result<Line, DataplaneError> {
        self.0
            .get(&at, 0)
            .map_err(kernel("read a line of the directory"))
    }
}
