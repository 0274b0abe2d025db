//! What a daemon of the ABI version before left: taken over while packets flow.
//!
//! Its maps that are as they were are pinned once more, so that counters go on; its tables are read, so that connections
//! keep their owners; and its links are pinned once more before this version's program takes their place. Its own pins go
//! last: until then a daemon of that version would go on with them, and whatever a crash leaves is found again.
//!
//! The layout of that version is written down here as it was, and stays so.

use std::{fs, path::Path};

use aya::{
    maps::{Array, ArrayOfMaps, HashMap, Map, MapData, MapError, MapInfo},
    programs::{links::FdLink, loaded_programs},
};
use balancer_common::{Address, abi};

use super::{
    attachment::{self, Present},
    error::{DataplaneError, kernel},
    interface,
    pins::PinDir,
};
use crate::image::record;
use balancer_core::{
    model::{BackendId, ServiceKey},
    reconcile::Plan,
    table::Table,
};

/// The version.
pub(super) const VERSION: u32 = 1;

/// The maps that have the same layout in both versions.
const SHARED: [&str; 4] = ["TRAFFIC", "REASONS", "FRAGMENTS", "MEMBERS"];

/// A line of 32 slots: the owner's id in the low 15 bits, and a bit that says whether the slot has a row of history.
type Line = [u16; 32];
/// The bit.
const MOVED: u16 = 0x8000;
/// Three earlier owners, newest first, and padding.
type Row = [u16; 4];
/// VIP, port and protocol.
type Key = [u8; 24];
/// The index of the service's table, and its shift: in the low six bits 64 less the base-2 logarithm of its slots.
type Service = [u32; 2];
/// A backend's record. Its destination is where [`DESTINATION`] says.
type Backend = [u8; 64];
const DESTINATION: std::ops::Range<usize> = 32..48;

/// The maps that packets meet as long as the version before is attached.
pub(super) struct Former {
    pins: PinDir,
    services: HashMap<MapData, Key, Service>,
    tables: ArrayOfMaps<MapData, Array<MapData, Line>>,
    histories: ArrayOfMaps<MapData, Array<MapData, Row>>,
    backends: Array<MapData, Backend>,
}

impl Former {
    /// Opens them, if packets meet them.
    pub(super) fn open(pins: &PinDir) -> Result<Option<Self>, DataplaneError> {
        let Some(former) = pins.former() else {
            return Ok(None);
        };
        if !is_met(&former, pins)? {
            return Ok(None);
        }
        let map = |name| {
            let map = MapData::from_pin(former.path(name));
            map.map_err(kernel("open a map of the version before"))
        };
        let using = "use a map of the version before";
        Ok(Some(Self {
            services: Map::HashMap(map("SERVICES")?)
                .try_into()
                .map_err(kernel(using))?,
            tables: Map::ArrayOfMaps(map("TABLES")?)
                .try_into()
                .map_err(kernel(using))?,
            histories: Map::ArrayOfMaps(map("HISTORIES")?)
                .try_into()
                .map_err(kernel(using))?,
            backends: Map::Array(map("BACKENDS")?)
                .try_into()
                .map_err(kernel(using))?,
            pins: former,
        }))
    }

    /// Pins what has the same layout in both versions once more.
    pub(super) fn hand_over(&self, pins: &PinDir) -> Result<(), DataplaneError> {
        for name in SHARED {
            let from = self.pins.path(name);
            if from.exists() {
                // What was there is of a start that failed.
                pins.remove(name)?;
                let map = MapData::from_pin(from).map_err(kernel("open a map to go on with"))?;
                map.pin(pins.path(name))
                    .map_err(kernel("pin a map to go on with"))?;
            }
        }
        Ok(())
    }

    /// What packets meet of the services and backends that `plan` has.
    pub(super) fn previous(&self, plan: &Plan) -> Result<Plan, DataplaneError> {
        let mut previous = Plan::default();
        for (key, record) in &plan.services {
            let Ok([index, shift]) = self.services.get(&key_bytes(key), 0) else {
                continue;
            };
            if let Some(table) = self.table(index, 1 << (64 - (shift & 63).clamp(33, 64)))? {
                previous.tables.insert(record.id, table.into());
            }
        }
        for (&id, backend) in &plan.backends {
            let record = (self.backends.get(&u32::from(id.0), 0))
                .map_err(kernel("read a backend of the version before"))?;
            if record[DESTINATION] == Address::from(backend.address).octets() {
                previous.backends.insert(id, *backend);
            }
        }
        Ok(previous)
    }

    fn table(&self, index: u32, slots: usize) -> Result<Option<Table>, DataplaneError> {
        let reading = "read a table of the version before";
        let (lines, rows) = match (self.tables.get(&index, 0), self.histories.get(&index, 0)) {
            (Err(MapError::KeyNotFound), _) | (_, Err(MapError::KeyNotFound)) => return Ok(None),
            (lines, rows) => (
                lines.map_err(kernel(reading))?,
                rows.map_err(kernel(reading))?,
            ),
        };
        let (mut owners, mut history) = (Vec::new(), Vec::new());
        for line in 0..slots.div_ceil(32) {
            for slot in lines.get(&(line as u32), 0).map_err(kernel(reading))? {
                let row = match slot & MOVED {
                    0 => [0; 4],
                    _ => (rows.get(&(owners.len() as u32), 0)).map_err(kernel(reading))?,
                };
                owners.push(BackendId(slot & !MOVED));
                history.push([row[0], row[1], row[2]].map(BackendId));
            }
        }
        Ok(Table::held(owners, history))
    }
}

/// Whether a link of the version before holds what is present on an interface.
pub(super) fn holds(
    pins: &PinDir,
    link: &str,
    present: Option<Present>,
) -> Result<bool, DataplaneError> {
    match pins.former() {
        Some(former) => attachment::holds(&former.path(link), present),
        None => Ok(false),
    }
}

/// Pins the link of the version before here as well, if it holds what is present on its interface: whoever attaches finds
/// it as if it were this version's.
pub(super) fn take_link(
    pins: &PinDir,
    link: &str,
    present: Option<Present>,
) -> Result<(), DataplaneError> {
    let here = pins.path(link);
    if attachment::holds(&here, present)? || !holds(pins, link, present)? {
        return Ok(());
    }
    let Some(from) = pins.former().map(|former| former.path(link)) else {
        return Ok(());
    };
    let Some(link) = attachment::pinned(&from)? else {
        return Ok(());
    };
    if here.exists() {
        fs::remove_file(&here).map_err(|source| pin_error(&here, source))?;
    }
    pin(link, &here)
}

fn pin(link: FdLink, path: &Path) -> Result<(), DataplaneError> {
    link.pin(path)
        .map(drop)
        .map_err(kernel("pin the link of the version before"))
}

fn pin_error(path: &Path, source: std::io::Error) -> DataplaneError {
    DataplaneError::Pin {
        path: path.to_owned(),
        source,
    }
}

/// Whether packets meet the maps of the version before: a link of its runs a program that reads them. While this version
/// has no link, it has not even tried to be attached.
fn is_met(former: &PinDir, pins: &PinDir) -> Result<bool, DataplaneError> {
    let links = interface::links(former)?;
    if links.is_empty() || interface::links(pins)?.is_empty() {
        return Ok(!links.is_empty());
    }
    if !former.path("TABLES").exists() {
        return Ok(false);
    }
    let tables = MapInfo::from_pin(former.path("TABLES"))
        .map_err(kernel("open a map of the version before"))?
        .id();
    for name in links {
        let Some(link) = attachment::pinned(&former.path(&name))? else {
            continue;
        };
        let link = link.info().map_err(kernel("read the pinned link"))?;
        let program = loaded_programs()
            .flatten()
            .find(|program| program.id() == link.program_id());
        let maps = program.map(|program| program.map_ids()).transpose();
        let maps = maps.map_err(kernel("read the maps of a program"))?;
        if maps.flatten().is_some_and(|maps| maps.contains(&tables)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A service's key as that version's packets have it.
fn key_bytes(key: &ServiceKey) -> Key {
    let abi::ServiceKey {
        vip,
        port_and_protocol,
    } = record::service_key(key);
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&vip.octets());
    bytes[16..].copy_from_slice(&port_and_protocol.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use balancer_core::model::Protocol;

    #[test]
    fn the_layout_is_that_of_version_1_to_the_byte() {
        let key = ServiceKey {
            vip: [198, 51, 100, 10].into(),
            port: 8_000,
            protocol: Protocol::Tcp,
        };
        let mut bytes = [0; 24];
        bytes[10..16].copy_from_slice(&[0xff, 0xff, 198, 51, 100, 10]);
        bytes[16..19].copy_from_slice(&[0x1f, 0x40, 6]);
        assert_eq!(key_bytes(&key), bytes);
        assert_eq!((size_of::<Line>(), size_of::<Row>()), (64, 8));
        assert_eq!((size_of::<Service>(), size_of::<Backend>()), (8, 64));
    }
}
