//! What the maps of an edge take of the kernel's memory.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use anyhow::{Context, Result};
use aya::maps::MapData;
use aya::programs::ProgramInfo;
use balancer_common::abi;

use crate::{Edge, World, inner_maps};

/// Bytes of an edge's maps, as the kernel accounts them.
#[derive(Clone, Copy, Debug, Default)]
pub struct MapBytes {
    /// Of what an edge has whatever it balances.
    pub fixed: u64,
    /// Of the tables and their histories.
    pub tables: u64,
}

impl Edge {
    /// Asks the kernel for the size of every map: those that are pinned, and what else `balance` has, like its constants and
    /// its log. Only the clock of messages to clients, 8 bytes a CPU, is neither.
    pub fn map_bytes(&self, world: &World) -> Result<MapBytes> {
        let directory = self.pins(world).join(format!("v{}", abi::VERSION));
        let mut ids = BTreeSet::new();
        for name in [
            "DIRECTORY",
            "VIPS",
            "SERVICES",
            "BACKENDS",
            "TRAFFIC",
            "REASONS",
            "FRAGMENTS",
            "MEMBERS",
            "TABLES",
            "HISTORIES",
        ] {
            ids.insert(open(&directory, name)?.info()?.id());
        }
        let program = ProgramInfo::from_pin(directory.join("balance"))?;
        ids.extend(program.map_ids()?.context("a program without maps")?);
        let mut bytes = MapBytes::default();
        for id in ids {
            bytes.fixed += bytes_of(&MapData::from_id(id)?)?;
        }
        for name in ["TABLES", "HISTORIES"] {
            bytes.tables += of_inner(&directory, name)?;
        }
        Ok(bytes)
    }
}

fn open(directory: &Path, name: &str) -> Result<MapData> {
    let pin = directory.join(name);
    MapData::from_pin(&pin).with_context(|| format!("no map {}", pin.display()))
}

fn of_inner(directory: &Path, name: &str) -> Result<u64> {
    let arrays = inner_maps(directory, name)?;
    arrays.values().map(bytes_of).sum()
}

/// `memlock` of a map's descriptor: since Linux 6.4 what the map really takes.
fn bytes_of(map: &MapData) -> Result<u64> {
    let descriptor = map.fd().as_fd().as_raw_fd();
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("memlock:"));
    let bytes = line.context("a map has no memlock")?.trim();
    bytes.parse().context("memlock is a number")
}
