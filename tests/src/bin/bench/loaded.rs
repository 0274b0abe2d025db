//! Proof that what is measured is what `lbd` loads: the kernel's own account of the program.
//!
//! `lbd` has loaded the program that is measured. It is compared with what this bench's own copy of the daemon's loader
//! makes of its own copy of the object, so that a stale binary is no result.

use std::fmt::{self, Write as _};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, Map, MapData, MapInfo};
use aya::programs::{ProgramInfo, Xdp, loaded_programs};
use balancer_config::EdgeConfig;
use balancer_edge::dataplane::{AGENT_OBJECT, EDGE_OBJECT, EdgePlane, EdgeSettings, PinDir};
use testbed::World;

/// What the kernel says of a loaded program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// The CRC-32 of the object that it is from.
    object: u32,
    /// The kernel's hash of its instructions, before it was verified.
    tag: u64,
    /// Bytes of instructions that were left of it.
    translated: u32,
    /// The constants that it was loaded with: `.rodata`.
    switches: Vec<u8>,
    /// What the file says of them.
    settings: String,
}

impl Loaded {
    /// The program of an edge whose pins these are.
    pub(crate) fn edge(world: &World, pins: &Path, config: &EdgeConfig) -> Result<Loaded> {
        let found = Loaded::of(EDGE_OBJECT, &ProgramInfo::from_pin(pins.join("balance"))?)?;
        let own = PinDir::new(&world.bpffs().join("own"));
        let settings = EdgeSettings {
            hash_key: config.hash_key.context("the configuration has a key")?,
            debug_packets: config.debug_packets,
        };
        let named = |loaded: Loaded| Loaded {
            settings: format!(
                "HASH_KEY from {:016x}, DEBUG_PACKETS {}",
                settings.hash_key,
                u32::from(settings.debug_packets)
            ),
            ..loaded
        };
        let id = EdgePlane::load(own.clone(), settings).and_then(|mut plane| {
            let id = plane.program().id()?;
            Ok((id, plane))
        })?;
        let expected = Loaded::of(EDGE_OBJECT, &by_id(id.0)?)?;
        own.remove_all()?;
        found.ensure_is(&expected)?;
        Ok(named(found))
    }

    /// The program of an agent's instance. Its constants are the machine's, and are not compared.
    pub(crate) fn agent(pins: &Path) -> Result<Loaded> {
        let found = Loaded::of(AGENT_OBJECT, &ProgramInfo::from_pin(pins.join("decap"))?)?;
        let mut ebpf = aya::Ebpf::load(AGENT_OBJECT).context("cannot create the agent's maps")?;
        let decap = ebpf.program_mut("decap").context("no program `decap`")?;
        let decap: &mut Xdp = decap.try_into()?;
        decap.load()?;
        let own = Loaded::of(AGENT_OBJECT, &decap.info()?)?;
        let expected = Loaded {
            translated: found.translated,
            switches: found.switches.clone(),
            ..own
        };
        found.ensure_is(&expected)?;
        Ok(found)
    }

    fn of(object: &[u8], info: &ProgramInfo) -> Result<Loaded> {
        let mut switches = Vec::new();
        for id in info.map_ids()?.unwrap_or_default() {
            let map = MapInfo::from_id(id)?;
            if map.name_as_str() == Some(".rodata") {
                switches = constants(MapData::from_id(id)?, map.value_size())?;
            }
        }
        Ok(Loaded {
            object: crc32fast::hash(object),
            tag: info.tag(),
            translated: info.size_translated().unwrap_or(0),
            switches,
            settings: "constants of the machine".to_owned(),
        })
    }

    fn ensure_is(&self, expected: &Loaded) -> Result<()> {
        ensure!(
            self == expected,
            "lbd has loaded another program than this bench knows:\n  {self}\n  {expected}\nrun `cargo build` first"
        );
        Ok(())
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let switches = self.switches.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        write!(
            f,
            "object crc32 {:08x}, kernel's tag {:016x}, {} bytes verified, {}: .rodata {switches}",
            self.object, self.tag, self.translated, self.settings
        )
    }
}

fn by_id(id: u32) -> Result<ProgramInfo> {
    let mut programs = loaded_programs().flatten();
    programs
        .find(|program| program.id() == id)
        .with_context(|| format!("program {id} is gone"))
}

/// The only value of a map, whose size is known only now: below 624 bytes.
fn constants(map: MapData, size: u32) -> Result<Vec<u8>> {
    macro_rules! sixteen {
        ($from:literal: $($more:literal)*) => {
            match size - $from {
                $($more => value::<{ $from + $more }>(map),)*
                _ => anyhow::bail!("constants of {size} bytes are more than the bench reads"),
            }
        };
    }
    macro_rules! sizes {
        ($($from:literal)*) => {
            match size / 16 * 16 {
                $($from => sixteen!($from: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15),)*
                _ => anyhow::bail!("constants of {size} bytes are more than the bench reads"),
            }
        };
    }
    sizes!(0 16 32 48 64 80 96 112 128 144 160 176 192 208 224 240
        256 272 288 304 320 336 352 368 384 400 416 432 448 464 480 496
        512 528 544 560 576 592 608)
}

fn value<const SIZE: usize>(map: MapData) -> Result<Vec<u8>> {
    let map: Array<MapData, [u8; SIZE]> = Map::Array(map).try_into()?;
    Ok(map.get(&0, 0)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_differs_in_anything_is_refused() {
        let known = Loaded {
            object: 1,
            tag: 2,
            translated: 3,
            switches: vec![4],
            settings: "five".to_owned(),
        };
        known.ensure_is(&known.clone()).unwrap();
        let others = [
            Loaded {
                object: 0,
                ..known.clone()
            },
            Loaded {
                tag: 0,
                ..known.clone()
            },
            Loaded {
                translated: 0,
                ..known.clone()
            },
            Loaded {
                switches: vec![0],
                ..known.clone()
            },
            Loaded {
                settings: "six".to_owned(),
                ..known.clone()
            },
        ];
        for other in others {
            let refused = other.ensure_is(&known).unwrap_err().to_string();
            assert!(refused.contains("another program"), "{refused}");
        }
    }
}
