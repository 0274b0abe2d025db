//! What the data plane writes into the maps, and what it leaves alone.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, ArrayOfMaps, Map, MapData, MapError, PerCpuArray, PerCpuValues};
use balancer_common::abi::{self, Traffic};
use balancer_config::EdgeConfig;
use balancer_core::model::{BackendId, Health, ServiceKey};
use balancer_core::reconcile::{self, NextHop, NextHops, Plan, PlanChange};
use balancer_core::state::{Change, State};
use balancer_edge::dataplane::{EdgePlane, EdgeSettings, PinDir};
use testbed::{World, inner_maps, map_contents, patient};

/// Hundreds of tables took four grace periods each once, about 50 ms. Machines differ, but not by as much.
const MAX_DURATION: Duration = Duration::from_secs(3);

/// A plane of its own, and what it is to hold.
struct Bed {
    world: World,
    state: State,
}

impl Bed {
    /// So many services of eight backends, 512 slots each.
    fn new(services: usize) -> Result<Bed> {
        Bed::with(services, 8)
    }

    fn with(services: usize, backends: usize) -> Result<Bed> {
        let mut text = "version = 1\ninterface = \"eth0\"\n".to_owned();
        for service in 0..services {
            let (high, low) = (service / 250, service % 250 + 1);
            writeln!(
                text,
                "[[service]]\nname = \"web{service}\"\nvip = \"198.18.{high}.{low}\"\nport = 80"
            )?;
            for backend in 0..backends {
                let address = format!("10.{high}.{low}.{}", backend + 1);
                writeln!(text, "[[service.backend]]\naddress = \"{address}\"")?;
            }
        }
        let config = EdgeConfig::parse(&text, "edge.toml")?;
        let apply = Change::Apply {
            services: config.services,
            force: true,
        };
        Ok(Bed {
            world: World::new()?,
            state: State::new(1).change(&apply, 0)?.0,
        })
    }

    fn plane(&self) -> Result<EdgePlane> {
        let settings = EdgeSettings {
            hash_key: 1,
            debug_packets: false,
        };
        Ok(EdgePlane::load(PinDir::new(&self.directory()), settings)?)
    }

    fn directory(&self) -> PathBuf {
        self.world.bpffs().join("edge")
    }

    fn pins(&self) -> PathBuf {
        self.directory().join(format!("v{}", abi::VERSION))
    }

    /// What the maps are to hold when these backends cannot be reached, after what packets have met.
    fn plan(&self, lost: impl Fn(BackendId) -> bool, previous: &Plan) -> Plan {
        let hop = |address: IpAddr| NextHop {
            interface: 1,
            source_mac: [2; 6],
            destination_mac: [4; 6],
            source: address,
            source_bits: 0,
            mtu: 1_500,
            tags: [None; 2],
        };
        let backends = self.state.services.values().flat_map(|of| &of.ids);
        let found = backends.filter(|&(_, &id)| !lost(id));
        let hops: NextHops = found.map(|(&at, _)| (at, hop(at))).collect();
        reconcile::plan(&self.state, &|_| Health::Up, &hops).after(previous)
    }

    /// With every backend, and without the first of every service.
    fn plans(&self) -> (Plan, Plan) {
        let all = self.plan(|_| false, &Plan::default());
        let without = self.plan(is_first, &all);
        (all, without)
    }
}

/// Whether it is the first backend of its service.
fn is_first(id: BackendId) -> bool {
    id.0 % 8 == 1
}

/// From one plan to another: every service is planned anew.
fn change(before: &Plan, after: &Plan) -> PlanChange {
    PlanChange {
        before: before.clone(),
        after: after.clone(),
    }
}

/// How many chunks of tables and of histories there are.
fn chunks(pins: &Path) -> Result<[usize; 2]> {
    let count = |name| anyhow::Ok(inner_maps(pins, name)?.len());
    Ok([count("TABLES")?, count("HISTORIES")?])
}

// Promise: C10
#[test]
fn what_is_equal_already_is_not_written_again() -> Result<()> {
    let bed = Bed::new(40)?;
    let (all, without) = bed.plans();
    let mut plane = bed.plane()?;
    plane.adopt(&all)?;
    plane.publish(&change(&all, &without))?;
    drop(plane);
    let before = map_contents(&bed.pins())?;
    let mut plane = bed.plane()?;
    let previous = plane.previous(&without)?;
    ensure!(previous.tables == without.tables && previous.backends == without.backends);
    plane.adopt(&without)?;
    drop(plane);
    // A table that was written again would lie elsewhere.
    ensure!(map_contents(&bed.pins())? == before, "something was moved");
    // A table that differs is written, and no other.
    let mut plane = bed.plane()?;
    let one = bed.plan(|id| is_first(id) && id.0 > 1, &without);
    plane.adopt(&one)?;
    drop(plane);
    let after = map_contents(&bed.pins())?;
    let services = |contents: &testbed::MapContents| -> Vec<_> {
        let of = contents
            .iter()
            .filter(|(name, _)| name.starts_with("SERVICES "));
        of.map(|(name, word)| (name.clone(), word.clone()))
            .collect()
    };
    let (before, after) = (services(&before), services(&after));
    let moved = before.iter().zip(&after).filter(|(old, new)| old != new);
    ensure!(moved.count() == 1, "not one table was moved");
    Ok(())
}

// Promise: C10
#[test]
fn hundreds_of_tables_are_replaced_at_once_and_their_memory_is_used_again() -> Result<()> {
    let bed = Bed::new(512)?;
    let (all, without) = bed.plans();
    let mut plane = bed.plane()?;
    plane.adopt(&all)?;
    let (there, back) = (change(&all, &without), change(&without, &all));
    let moved = (all.tables.iter()).filter(|(id, table)| without.tables[id] != **table);
    ensure!(moved.count() == 512, "some tables are the same");
    let begun = Instant::now();
    for _ in 0..5 {
        plane.publish(&there)?;
        plane.publish(&back)?;
    }
    let took = begun.elapsed();
    println!("10 publications of 512 tables: {took:?}");
    ensure!(
        took < patient(MAX_DURATION),
        "{took:?} for 10 publications of 512 tables"
    );
    plane.publish(&there)?;
    drop(plane);
    // 512 tables of 512 slots are four chunks; as many again while packets may be under way, and nothing else.
    let [tables, histories] = chunks(&bed.pins())?;
    ensure!((4..=8).contains(&tables), "{tables} chunks of tables");
    ensure!(histories <= tables, "{histories} of histories");
    // Whoever starts reads what was published.
    let mut plane = bed.plane()?;
    ensure!(
        plane.previous(&without)?.tables == without.tables,
        "other tables"
    );
    plane.adopt(&without)?;
    // Without services nothing is left of them.
    plane.publish(&change(&without, &Plan::default()))?;
    drop(plane);
    assert_eq!(chunks(&bed.pins())?, [0, 0]);
    let left = map_contents(&bed.pins())?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

/// What a daemon left that was killed between a publication and the end of its grace period.
// Promise: C10
#[test]
fn what_a_daemon_left_half_done_is_cleaned_up_by_the_next() -> Result<()> {
    let bed = Bed::new(40)?;
    let (all, without) = bed.plans();
    let mut plane = bed.plane()?;
    plane.adopt(&all)?;
    drop(plane);
    let clean = map_contents(&bed.pins())?;
    // Records, a chunk and an entry of the directory that nothing names.
    let mut plane = bed.plane()?;
    plane.publish(&change(&all, &without))?;
    drop(plane);
    let mut backends: Array<MapData, [u8; 64]> = array(&bed.pins(), "BACKENDS")?;
    backends.set(30_000, [7; 64], 0)?;
    let mut directory: Array<MapData, [u64; 8]> = array(&bed.pins(), "DIRECTORY")?;
    let free =
        (0..directory.len()).find(|at| directory.get(at, 0).is_ok_and(|line| line == [0; 8]));
    let free = free.context("a line is empty")?;
    directory.set(free, [0, 0, 0, 0, 0, 0, 0, 9], 0)?;
    let pin = Map::ArrayOfMaps(MapData::from_pin(bed.pins().join("TABLES"))?);
    let mut tables: ArrayOfMaps<MapData, Array<MapData, abi::SlotLine>> = pin.try_into()?;
    let used = tables.get(&0, 0)?;
    tables.set(77, &used, 0)?;
    let mut plane = bed.plane()?;
    plane.adopt(&all)?;
    drop(plane);
    assert_eq!(chunks(&bed.pins())?, [1, 1]);
    let after = map_contents(&bed.pins())?;
    for name in ["BACKENDS", "DIRECTORY"] {
        let of = |contents: &testbed::MapContents| -> Vec<String> {
            let names = contents.keys().filter(|key| key.starts_with(name));
            names.cloned().collect()
        };
        assert_eq!(of(&after), of(&clean));
    }
    match tables.get(&77, 0) {
        Err(MapError::KeyNotFound) => Ok(()),
        _ => anyhow::bail!("a chunk that nobody uses is still there"),
    }
}

/// What a daemon left that was killed when the map of services named new tables, and the directory did not yet.
// Promise: C10
#[test]
fn packets_follow_what_a_killed_daemon_had_begun_to_publish() -> Result<()> {
    let bed = Bed::new(40)?;
    let (all, without) = bed.plans();
    let mut plane = bed.plane()?;
    plane.adopt(&all)?;
    let lines = |directory: &Array<MapData, [u64; 8]>| -> Result<Vec<[u64; 8]>> {
        (0..directory.len())
            .map(|at| Ok(directory.get(&at, 0)?))
            .collect()
    };
    let mut directory: Array<MapData, [u64; 8]> = array(&bed.pins(), "DIRECTORY")?;
    let before = lines(&directory)?;
    plane.publish(&change(&all, &without))?;
    drop(plane);
    let after = lines(&directory)?;
    for (at, line) in (0..).zip(&before) {
        directory.set(at, line, 0)?;
    }
    // Before anything is written where the directory sends packets.
    let plane = bed.plane()?;
    ensure!(lines(&directory)? == after, "packets meet former tables");
    ensure!(
        plane.previous(&without)?.tables == without.tables,
        "other tables"
    );
    Ok(())
}

// Promise: C10
#[test]
fn as_many_services_as_an_edge_holds_are_replaced_at_once() -> Result<()> {
    let bed = Bed::with(abi::MAX_SERVICES as usize, 1)?;
    let (all, _) = bed.plans();
    let mut others = all.clone();
    others.services = (all.services.iter())
        .map(|(&key, &record)| (ServiceKey { port: 81, ..key }, record))
        .collect();
    let mut plane = bed.plane()?;
    plane.adopt(&all)?;
    plane.publish(&change(&all, &others))?;
    plane.adopt(&all)?;
    drop(plane);
    let mut plane = bed.plane()?;
    plane.adopt(&others)?;
    ensure!(
        plane.previous(&others)?.tables == others.tables,
        "other tables"
    );
    ensure!(
        plane.previous(&all)?.tables.is_empty(),
        "the former are there"
    );
    Ok(())
}

fn array<V: aya::Pod>(pins: &Path, name: &str) -> Result<Array<MapData, V>> {
    Ok(Map::Array(MapData::from_pin(pins.join(name))?).try_into()?)
}

// Promise: C10
#[test]
fn a_backend_that_comes_back_at_once_has_its_record_and_goes_on_counting() -> Result<()> {
    let bed = Bed::new(1)?;
    let (all, _) = bed.plans();
    let mut fewer = all.clone();
    let id = BackendId(3);
    let record = fewer.backends.remove(&id).context("it was there")?;
    let mut plane = bed.plane()?;
    plane.adopt(&all)?;
    let pin = Map::PerCpuArray(MapData::from_pin(bed.pins().join("TRAFFIC"))?);
    let mut traffic: PerCpuArray<MapData, Traffic> = pin.try_into()?;
    let row = Traffic {
        packets: 2,
        bytes: 300,
    };
    let cpus = traffic.get(&3, 0)?.len();
    traffic.set(3, PerCpuValues::try_from(vec![row; cpus])?, 0)?;
    let sent = Traffic {
        packets: 2 * cpus as u64,
        bytes: 300 * cpus as u64,
    };
    plane.publish(&change(&all, &fewer))?;
    // While packets to the one before may be under way.
    plane.publish(&change(&fewer, &all))?;
    assert_eq!(plane.counters().traffic(id)?, sent);
    drop(plane);
    let backends: Array<MapData, [u8; 64]> = array(&bed.pins(), "BACKENDS")?;
    let IpAddr::V4(address) = record.address else {
        anyhow::bail!("{}", record.address);
    };
    ensure!(
        backends.get(&3, 0)?[44..48] == address.octets(),
        "its record is gone"
    );
    let mut plane = bed.plane()?;
    plane.adopt(&all)?;
    assert_eq!(plane.counters().traffic(id)?, sent);
    assert_eq!(plane.clear_traffic(id)?, sent);
    assert_eq!(plane.counters().traffic(id)?, Traffic::default());
    Ok(())
}
