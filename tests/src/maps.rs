//! What the maps of an edge hold that decide where packets go, to the byte.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use aya::Pod;
use aya::maps::{Array, ArrayOfMaps, HashMap, Map, MapData, MapError};
use balancer_common::abi;

use crate::{Edge, World};

/// Bytes by map and key.
pub type MapContents = BTreeMap<String, Vec<u8>>;

impl Edge {
    /// The bytes of VIPs, services, backends, tables and histories; counters are left out.
    pub fn map_contents(&self, world: &World) -> Result<MapContents> {
        map_contents(&self.pins(world).join(format!("v{}", abi::VERSION)))
    }
}

/// The same of the edge whose pins are in a directory.
pub fn map_contents(directory: &Path) -> Result<MapContents> {
    let mut contents = MapContents::new();
    let lines: Array<MapData, [u8; 64]> = Map::Array(open(directory, "DIRECTORY")?).try_into()?;
    rows("DIRECTORY", &lines, &mut contents)?;
    entries::<[u8; 16], [u8; 4]>(directory, "VIPS", &mut contents)?;
    entries::<[u8; 24], [u8; 8]>(directory, "SERVICES", &mut contents)?;
    let backends: Array<MapData, [u8; 64]> = Map::Array(open(directory, "BACKENDS")?).try_into()?;
    rows("BACKENDS", &backends, &mut contents)?;
    inner::<64>(directory, "TABLES", &mut contents)?;
    inner::<8>(directory, "HISTORIES", &mut contents)?;
    Ok(contents)
}

/// The maps in an array of maps, by their index.
pub fn inner_maps(directory: &Path, name: &str) -> Result<BTreeMap<u32, MapData>> {
    let outer: ArrayOfMaps<MapData> = Map::ArrayOfMaps(open(directory, name)?).try_into()?;
    let mut found = BTreeMap::new();
    for index in 0..outer.len() {
        match outer.get(&index, 0) {
            Ok(map) => drop(found.insert(index, map)),
            // Most indices have none.
            Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

fn open(directory: &Path, name: &str) -> Result<MapData> {
    let pin = directory.join(name);
    MapData::from_pin(&pin).with_context(|| format!("no map {}", pin.display()))
}

fn entries<K: Pod + AsRef<[u8]>, V: Pod + AsRef<[u8]>>(
    directory: &Path,
    name: &str,
    contents: &mut MapContents,
) -> Result<()> {
    let map: HashMap<MapData, K, V> = Map::HashMap(open(directory, name)?).try_into()?;
    for entry in map.iter() {
        let (key, value) = entry?;
        contents.insert(
            format!("{name} {:02x?}", key.as_ref()),
            value.as_ref().to_vec(),
        );
    }
    Ok(())
}

fn rows<const N: usize>(
    name: &str,
    map: &Array<MapData, [u8; N]>,
    contents: &mut MapContents,
) -> Result<()>
where
    [u8; N]: Pod,
{
    for index in 0..map.len() {
        let row = map.get(&index, 0)?;
        if row.iter().any(|&byte| byte != 0) {
            contents.insert(format!("{name} {index}"), row.to_vec());
        }
    }
    Ok(())
}

/// The arrays in an array of maps that hold anything.
fn inner<const N: usize>(directory: &Path, name: &str, contents: &mut MapContents) -> Result<()>
where
    [u8; N]: Pod,
{
    for (index, array) in inner_maps(directory, name)? {
        let array: Array<MapData, [u8; N]> = Map::Array(array).try_into()?;
        rows(&format!("{name} {index}"), &array, contents)?;
    }
    Ok(())
}
