//! What a program counted for a single frame, read from its maps.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use aya::maps::{Map, MapData, PerCpuArray};
use balancer_common::abi::Traffic;
use balancer_common::{Reason, reason};

/// What a frame is counted at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    Reason(Reason),
    /// A backend by its id, and the bytes of the packet inside.
    Backend(u16, u64),
}

/// Where rows are kept: in the map of reasons, or in that of backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Reason(u32),
    Backend(u32),
}

/// The counters of a program, and what they said when they were read last.
pub(crate) struct Tally {
    reasons: PerCpuArray<MapData, Traffic>,
    /// None of an agent.
    backends: Option<PerCpuArray<MapData, Traffic>>,
    last: BTreeMap<Place, Traffic>,
}

impl Tally {
    /// The counters pinned in a directory, of every reason and of backends with ids below this.
    pub(crate) fn open(pins: &Path, ids: u16) -> Result<Tally> {
        let backends = (ids != 0).then(|| map(pins, "TRAFFIC")).transpose()?;
        let mut tally = Tally {
            reasons: map(pins, "REASONS")?,
            backends,
            last: BTreeMap::new(),
        };
        let reasons = (0..reason::ROWS).map(Place::Reason);
        for place in reasons.chain((0..u32::from(ids)).map(Place::Backend)) {
            let now = tally.read(place)?;
            tally.last.insert(place, now);
        }
        Ok(tally)
    }

    /// Whether the last frame, and nothing else, was counted at this row; if not, what was.
    ///
    /// Only this row is read when it is: what is counted elsewhere besides, the next frame finds that belongs there, and
    /// [`Tally::rest`].
    pub(crate) fn counted(&mut self, row: Row) -> Result<Result<(), String>> {
        let (place, bytes) = match row {
            Row::Reason(reason) => (Place::Reason(reason as u32), None),
            Row::Backend(id, bytes) => (Place::Backend(u32::from(id)), Some(bytes)),
        };
        let grown = self.grown(place)?;
        if grown.packets == 1 && bytes.is_none_or(|bytes| bytes == grown.bytes) {
            return Ok(Ok(()));
        }
        let mut met = self.rest()?;
        if grown.packets != 0 {
            met.push(spelled(place, grown));
        }
        Ok(Err(format!("counted at {met:?}, not at {row:?}")))
    }

    /// What was counted, and nobody has asked for.
    pub(crate) fn rest(&mut self) -> Result<Vec<String>> {
        let places: Vec<Place> = self.last.keys().copied().collect();
        let mut met = Vec::new();
        for place in places {
            let grown = self.grown(place)?;
            if grown.packets != 0 {
                met.push(spelled(place, grown));
            }
        }
        Ok(met)
    }

    fn grown(&mut self, place: Place) -> Result<Traffic> {
        let now = self.read(place)?;
        let before = self.last.insert(place, now).unwrap_or_default();
        Ok(Traffic {
            packets: now.packets - before.packets,
            bytes: now.bytes - before.bytes,
        })
    }

    fn read(&self, place: Place) -> Result<Traffic> {
        let (rows, index) = match place {
            Place::Reason(index) => (&self.reasons, index),
            Place::Backend(index) => {
                let backends = self.backends.as_ref();
                (backends.context("it has no backends")?, index)
            }
        };
        let mut sum = Traffic::default();
        for of_cpu in rows.get(&index, 0)?.iter() {
            sum.packets += of_cpu.packets;
            sum.bytes += of_cpu.bytes;
        }
        Ok(sum)
    }
}

fn spelled(place: Place, grown: Traffic) -> String {
    let name = match place {
        Place::Reason(index) => Reason::ALL.get(index as usize).map(|reason| reason.name()),
        Place::Backend(_) => None,
    };
    let name = name.map_or(format!("{place:?}"), str::to_owned);
    format!("{name} ({} packets, {} bytes)", grown.packets, grown.bytes)
}

fn map(pins: &Path, name: &str) -> Result<PerCpuArray<MapData, Traffic>> {
    let pin = pins.join(name);
    let map = MapData::from_pin(&pin).with_context(|| format!("no map {}", pin.display()))?;
    Ok(Map::PerCpuArray(map).try_into()?)
}
