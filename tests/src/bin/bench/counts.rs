//! What the measured program has counted.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use aya::maps::{Map, MapData, PerCpuArray};
use balancer_common::abi::Traffic;
use balancer_common::reason;

/// What a packet is counted at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    /// A backend, by its id.
    Backend(u16),
    /// A reason, by its number.
    Reason(u32),
}

/// Packets by row; rows without any are left out.
pub(crate) type Counts = BTreeMap<Row, u64>;

/// Reads the pinned counters of these backends, and of every reason.
pub(crate) fn read(pins: &Path, backends: &[u16]) -> Result<Counts> {
    let mut counts = Counts::new();
    let reasons = open(pins, "REASONS")?;
    for number in 0..reason::ROWS {
        counts.insert(Row::Reason(number), packets(&reasons, number)?);
    }
    if !backends.is_empty() {
        let traffic = open(pins, "TRAFFIC")?;
        for &id in backends {
            counts.insert(Row::Backend(id), packets(&traffic, u32::from(id))?);
        }
    }
    Ok(counts)
}

/// What was counted since `before`.
pub(crate) fn since(before: &Counts, now: &Counts) -> Counts {
    now.iter()
        .map(|(row, packets)| (*row, packets - before.get(row).unwrap_or(&0)))
        .filter(|(_, packets)| *packets != 0)
        .collect()
}

fn open(pins: &Path, name: &str) -> Result<PerCpuArray<MapData, Traffic>> {
    let pin = pins.join(name);
    let map = MapData::from_pin(&pin).with_context(|| format!("no map {}", pin.display()))?;
    Ok(Map::PerCpuArray(map).try_into()?)
}

fn packets(rows: &PerCpuArray<MapData, Traffic>, index: u32) -> Result<u64> {
    Ok(rows.get(&index, 0)?.iter().map(|row| row.packets).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_grew_is_left() {
        let counts = |rows: &[(Row, u64)]| rows.iter().copied().collect::<Counts>();
        let before = counts(&[(Row::Backend(1), 5), (Row::Reason(1), 2)]);
        let now = counts(&[
            (Row::Backend(1), 9),
            (Row::Backend(2), 1),
            (Row::Reason(1), 2),
        ]);
        let grown = counts(&[(Row::Backend(1), 4), (Row::Backend(2), 1)]);
        assert_eq!(since(&before, &now), grown);
    }
}
