//! Which interfaces are members of which bonds, as the program is told. This kernel may have no bonds: their numbers will do.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use balancer_common::abi;
use balancer_edge::dataplane::{EdgePlane, EdgeSettings, PinDir};
use testbed::{World, wait_for};

use crate::edge::{ENCAPSULATIONS, Site};

type Members = HashMap<MapData, u32, u32>;

fn map(pin: impl AsRef<Path>) -> Result<Members> {
    let map = Map::HashMap(MapData::from_pin(pin)?);
    Ok(map.try_into()?)
}

// Promise: E13
#[test]
fn the_program_knows_the_members_of_now() -> Result<()> {
    let world = World::new()?;
    let directory = world.bpffs().join("members");
    let settings = EdgeSettings {
        hash_key: 1,
        debug_packets: false,
    };
    let mut plane = EdgePlane::load(PinDir::new(&directory), settings)?;
    let map = map(directory.join(format!("v{}/MEMBERS", abi::VERSION)))?;
    let steps: [&[(u32, u32)]; 5] = [
        &[],
        &[(2, 9), (3, 9)],
        &[(2, 9), (3, 8)],
        &[(4, 8), (3, 8)],
        &[],
    ];
    for members in steps {
        let members: BTreeMap<u32, u32> = members.iter().copied().collect();
        plane.program().set_members(&members)?;
        let known: BTreeMap<u32, u32> = map.iter().collect::<Result<_, _>>()?;
        assert_eq!(known, members);
    }
    Ok(())
}

/// The daemon looks again every second.
// Promise: E13
#[test]
fn what_is_no_member_any_more_is_forgotten() -> Result<()> {
    let site = Site::new(ENCAPSULATIONS)?;
    let mut map = map(site.pin("MEMBERS"))?;
    map.insert(site.index("eth1")?, site.ingress, 0)?;
    wait_for("it to be gone", Duration::from_secs(10), || {
        let left = map.iter().next().transpose()?;
        ensure!(left.is_none(), "{left:?}");
        Ok(())
    })
    .context("a row that nobody stands for")
}
