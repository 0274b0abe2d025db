//! An edge as a daemon of ABI version 1 left it, with that version's own program: what the next version has to take over.
//!
//! `former/edge-v1.o` is the object of the edge's programs at version 1, without debug information.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, ArrayOfMaps, HashMap, Map, MapData, ProgramArray};
use aya::programs::Xdp;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::{Ebpf, EbpfLoader, Pod, include_bytes_aligned};
use balancer_common::Address;
use balancer_common::abi::{self, HistoryRow, Service, ServiceKey, Slot, SlotLine};
use balancer_common::directory::{Line, line_of};
use balancer_common::flow::HashKey;

use crate::{Edge, World, inner_maps};

static OBJECT: &[u8] = include_bytes_aligned!("../former/edge-v1.o");

/// The maps that both versions have alike.
const SHARED: [&str; 4] = ["TRAFFIC", "REASONS", "FRAGMENTS", "MEMBERS"];
/// The maps of version 1 alone.
const OWN: [&str; 6] = [
    "DIRECTORY",
    "VIPS",
    "SERVICES",
    "BACKENDS",
    "TABLES",
    "HISTORIES",
];
/// `BPF_F_INNER_MAP`: inner arrays differ in length.
const INNER: u32 = 1 << 12;

/// Makes what a killed daemon of an edge left into what one of version 1 leaves, with the program of version 1 on the interfaces. Each
/// slot gets the owner that `owner` gives for its owner now, and no history. Gives the directory of version 1.
pub fn make_former(
    edge: &Edge,
    world: &World,
    hash_key: u64,
    owner: impl Fn(u16) -> u16,
) -> Result<PathBuf> {
    let now = edge.pins(world).join(format!("v{}", abi::VERSION));
    let then = edge.pins(world).join("v1");
    fs::create_dir(&then)?;
    for name in SHARED {
        open(&now, name)?.pin(then.join(name))?;
    }
    let key = HashKey::expand(hash_key);
    let mut loader = EbpfLoader::new();
    loader
        .override_global("SEVERAL_BUFFERS", &1_u32, true)
        .override_global("HASH_KEY", &key, true)
        .override_global("DEBUG_PACKETS", &0_u32, true);
    for name in SHARED.iter().chain(&OWN) {
        loader.map_pin_path(name, then.join(name));
    }
    let mut ebpf = loader.load(OBJECT).context("the object of version 1")?;
    let programs = load(&mut ebpf)?;
    fill(&now, &then, owner)?;
    programs.pin(then.join("PROGRAMS"))?;
    let balance = xdp(&mut ebpf, "balance")?;
    balance.pin(then.join("balance"))?;
    for entry in fs::read_dir(&now)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("link-") {
            let link = FdLink::from(PinnedLink::from_pin(entry.path())?);
            let link = balance.attach_to_link(XdpLink::try_from(link)?)?;
            drop(balance.take_link(link)?);
            fs::rename(entry.path(), then.join(entry.file_name()))?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(&now)?;
    Ok(then)
}

/// Loads the programs and puts those that take over into their map.
fn load(ebpf: &mut Ebpf) -> Result<Map> {
    xdp(ebpf, "balance")?.load()?;
    let mut map = ebpf.take_map("PROGRAMS").context("no map PROGRAMS")?;
    let mut array: ProgramArray<&mut MapData> = (&mut map).try_into()?;
    for (place, name) in [(0, "unusual"), (1, "too_large")] {
        let program = xdp(ebpf, name)?;
        program.load()?;
        array.set(place, program.fd()?, 0)?;
    }
    Ok(map)
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).context("no such program")?;
    Ok(program.try_into()?)
}

/// The same VIPs, services and backends, and tables with other owners.
fn fill(now: &Path, then: &Path, owner: impl Fn(u16) -> u16) -> Result<()> {
    let mut backends: Array<MapData, [u8; 64]> = array(then, "BACKENDS")?;
    let records: Array<MapData, [u8; 64]> = array(now, "BACKENDS")?;
    for id in 0..records.len() {
        let record = records.get(&id, 0)?;
        if record != [0; 64] {
            backends.set(id, record, 0)?;
        }
    }
    let outer = |name| Map::ArrayOfMaps(open(then, name).expect("it is pinned"));
    let mut tables: ArrayOfMaps<MapData, Array<MapData, SlotLine>> = outer("TABLES").try_into()?;
    let mut histories: ArrayOfMaps<MapData, Array<MapData, HistoryRow>> =
        outer("HISTORIES").try_into()?;
    let mut services: HashMap<MapData, ServiceKey, Service> = hash(then, "SERVICES")?;
    let mut directory: BTreeMap<u32, Line> = BTreeMap::new();
    let from: HashMap<MapData, ServiceKey, Service> = hash(now, "SERVICES")?;
    for (index, entry) in (0..).zip(from.iter()) {
        let (key, service) = entry?;
        let lines = lines(now, service)?;
        let mut table = Array::create(lines.len() as u32, INNER)?;
        for (at, line) in (0..).zip(lines) {
            table.set(at, line.map(|slot| owner(Slot(slot).owner())), 0)?;
        }
        tables.set(index, &table, 0)?;
        histories.set(index, &Array::create(service.slots() as u32, INNER)?, 0)?;
        let service = Service {
            table: index,
            ..service
        };
        services.insert(key, service, 0)?;
        let line = directory.entry(line_of(&key.vip)).or_insert(Line::EMPTY);
        *line = *line.with(&key, service).last().context("a line is full")?;
    }
    let mut map: Array<MapData, Line> = array(then, "DIRECTORY")?;
    for (at, line) in directory {
        map.set(at, line, 0)?;
    }
    let mut vips: HashMap<MapData, Address, abi::Vip> = hash(then, "VIPS")?;
    let from: HashMap<MapData, Address, abi::Vip> = hash(now, "VIPS")?;
    for entry in from.iter() {
        let (vip, record) = entry?;
        vips.insert(vip, record, 0)?;
    }
    Ok(())
}

/// The lines of a table as this version has them.
fn lines(now: &Path, service: Service) -> Result<Vec<SlotLine>> {
    let chunk = service.table / abi::CHUNK_LINES;
    let map = inner_maps(now, "TABLES")?.remove(&chunk);
    let map: Array<MapData, SlotLine> =
        Map::Array(map.context("no chunk for a table")?).try_into()?;
    let first = service.table % abi::CHUNK_LINES;
    let count = service.slots() / abi::LINE_SLOTS;
    ensure!(count > 0, "a table of {} slots", service.slots());
    (first..first + count as u32)
        .map(|at| Ok(map.get(&at, 0)?))
        .collect()
}

fn open(directory: &Path, name: &str) -> Result<MapData> {
    let pin = directory.join(name);
    MapData::from_pin(&pin).with_context(|| format!("no map {}", pin.display()))
}

fn array<V: Pod>(directory: &Path, name: &str) -> Result<Array<MapData, V>> {
    Ok(Map::Array(open(directory, name)?).try_into()?)
}

fn hash<K: Pod, V: Pod>(directory: &Path, name: &str) -> Result<HashMap<MapData, K, V>> {
    Ok(Map::HashMap(open(directory, name)?).try_into()?)
}
