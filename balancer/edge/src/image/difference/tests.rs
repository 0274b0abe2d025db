//! What is written from one image to the next, and what packets meet while it is.

use std::{collections::BTreeSet, net::IpAddr};

use balancer_common::abi::MAX_CHUNKS;
use balancer_core::{
    model::Health,
    reconcile::{Plan, PlanChange},
    state::State,
};
use proptest::prelude::*;

use super::*;
use crate::image::{
    NoRoom, Regions, lines, record,
    tests::{next_hops, plan, plan_of, service, state},
};

/// The only service of an edge, with two backends.
fn web(port: u16, hash: &str) -> String {
    service(
        "web",
        "198.51.100.10",
        port,
        hash,
        &["10.0.0.1", "10.0.0.2"],
    )
}

/// The image of a plan, what makes it that of another, and the regions of both.
fn difference(before: &Plan, after: &Plan) -> Difference {
    let mut regions = Regions::new(MAX_CHUNKS);
    let mut image = Image::default();
    image.become_plan(before, &mut regions).unwrap();
    image.become_plan(after, &mut regions).unwrap()
}

#[test]
fn a_plan_that_is_so_already_writes_nothing() {
    assert_eq!(difference(&plan(), &plan()), Difference::default());
}

#[test]
fn another_next_hop_writes_one_record() {
    let before = plan();
    let mut after = before.clone();
    let (&id, record) = after.backends.iter_mut().next_back().unwrap();
    record.next_hop.as_mut().unwrap().destination_mac[5] = 99;
    let expected = Difference {
        backends: vec![(id, record::backend(record))],
        ..Difference::default()
    };
    assert_eq!(difference(&before, &after), expected);
}

#[test]
fn another_hash_writes_one_word_and_what_fragments_need() {
    let before = state(&State::new(1), &web(80, "flow"));
    let after = plan_of(&state(&before, &web(80, "source")));
    let vip = IpAddr::from([198, 51, 100, 10]).into();
    let key = ServiceKey::new(vip, 80_u16.to_be_bytes(), 6);
    let word = Service::new(0, 256, true);
    let to = Vip {
        tcp: 80_u16.to_be_bytes(),
        ..Vip::default()
    };
    let expected = Difference {
        services: vec![(key, word)],
        vips: vec![(vip, to)],
        ..Difference::default()
    };
    assert_eq!(difference(&plan_of(&before), &after), expected);
}

// Promise: C8
#[test]
fn a_service_with_another_port_keeps_its_table_and_is_there_before_it_leaves_the_old_one() {
    let mut regions = Regions::new(MAX_CHUNKS);
    let before = state(&State::new(1), &web(80, "flow"));
    let after = state(&before, &web(81, "flow"));
    let mut image = Image::default();
    image.become_plan(&plan_of(&before), &mut regions).unwrap();
    let change = PlanChange {
        before: plan_of(&before),
        after: plan_of(&after),
    };
    let difference = image.change(&change, &mut regions).unwrap();
    assert_eq!(
        (difference.tables.len(), difference.gone_tables.len()),
        (0, 0)
    );
    assert_eq!(
        (difference.services.len(), difference.gone_services.len()),
        (1, 1)
    );
}

/// A daemon that is killed while it gives a service another port leaves both keys with one region.
#[test]
fn a_region_that_two_services_name_stays_with_one_of_them() {
    let services = [
        service("web", "198.51.100.10", 80, "flow", &[]),
        service("other", "198.51.100.11", 80, "flow", &[]),
    ];
    let plan = plan_of(&state(&State::new(1), &services.concat()));
    let (mut regions, table) = (
        Regions::new(MAX_CHUNKS),
        plan.tables.values().next().unwrap(),
    );
    let region = regions.take(lines(table.slots())).unwrap();
    let word = Service::new(region.first, table.slots(), false);
    let found = plan
        .services
        .keys()
        .map(|key| (record::service_key(key), word));
    let mut image = Image::found([], found, [(region, Table::clone(table))], []);
    image.become_plan(&plan, &mut regions).unwrap();
    let used: BTreeSet<Region> = image.services().map(|(_, of)| Region::of(of)).collect();
    assert_eq!(used.len(), 2);
    assert!(used.contains(&region));
}

#[test]
fn without_room_nothing_changes() {
    let before = plan();
    let mut after = before.clone();
    for table in after.tables.values_mut() {
        *table = Arc::new(Table::empty(1 << 16));
    }
    let mut regions = Regions::new(2);
    let mut image = Image::default();
    image.become_plan(&before, &mut regions).unwrap();
    let (was, taken) = (image.clone(), regions.taken().collect::<Vec<_>>());
    assert_eq!(image.become_plan(&after, &mut regions), Err(NoRoom));
    assert_eq!(image, was);
    assert_eq!(regions.taken().collect::<Vec<_>>(), taken);
}

/// Maps that look at what packets would meet after each write.
#[derive(Default)]
struct Watched {
    image: Image,
    /// What the directory tells.
    told: BTreeMap<ServiceKey, Service>,
    /// What packets may still read that nothing names.
    left: Vec<Region>,
}

impl Watched {
    fn look(&self) -> Result<(), TestCaseError> {
        for (key, service) in self.image.services.iter().chain(&self.told) {
            let table = self.image.tables.get(&Region::of(*service));
            let Some(table) = table else {
                return Err(TestCaseError::fail(format!("{key:?} has no table")));
            };
            let named = table.owners().iter().chain(table.history().as_flattened());
            for id in named.filter(|id| id.0 != 0) {
                prop_assert!(self.image.backends.contains_key(id), "{id:?} has no record");
            }
        }
        for key in self.told.keys() {
            prop_assert!(
                self.image.services.contains_key(key),
                "{key:?} is told alone"
            );
            prop_assert!(
                self.image.vips.contains_key(&key.vip),
                "{:?} is no VIP",
                key
            );
        }
        for vip in self.image.vips.keys() {
            let mut services = self.image.services_of(*vip);
            prop_assert!(services.next().is_some(), "{vip:?} has no service");
        }
        Ok(())
    }
}

impl Maps for Watched {
    type Error = TestCaseError;

    fn put_backends(&mut self, records: &[(BackendId, Backend)]) -> Result<(), TestCaseError> {
        self.image.backends.extend(records.iter().copied());
        self.look()
    }

    fn fill_tables(&mut self, tables: &[(Region, Arc<Table>)]) -> Result<(), TestCaseError> {
        for (region, table) in tables {
            let place = region.first..region.first + region.lines;
            for other in self.image.tables.keys().chain(&self.left) {
                let apart = other.first >= place.end || other.first + other.lines <= place.start;
                prop_assert!(apart, "packets may read {other:?}");
            }
            self.image.tables.insert(*region, Arc::clone(table));
        }
        self.look()
    }

    fn put_services(&mut self, services: &[(ServiceKey, Service)]) -> Result<(), TestCaseError> {
        self.image.services.extend(services.iter().copied());
        self.look()
    }

    fn put_vips(&mut self, vips: &[(Address, Vip)]) -> Result<(), TestCaseError> {
        self.image.vips.extend(vips.iter().copied());
        self.look()
    }

    fn tell_services(&mut self, services: &[(ServiceKey, Service)]) {
        self.told.extend(services.iter().copied());
    }

    fn untell_services(&mut self, services: &[ServiceKey]) {
        self.told.retain(|key, _| !services.contains(key));
    }

    fn remove_vips(&mut self, vips: &[Address]) -> Result<(), TestCaseError> {
        self.look()?;
        self.image.vips.retain(|vip, _| !vips.contains(vip));
        self.look()
    }

    fn remove_services(&mut self, services: &[ServiceKey]) -> Result<(), TestCaseError> {
        self.look()?;
        self.image.services.retain(|key, _| !services.contains(key));
        self.look()
    }

    fn leave(&mut self, tables: &[Region], backends: &[BackendId]) {
        self.image.tables.retain(|at, _| !tables.contains(at));
        self.image.backends.retain(|id, _| !backends.contains(id));
        self.left.extend(tables);
    }
}

/// Some of three services, of which two can share a VIP.
fn services() -> impl Strategy<Value = String> {
    let one = |name: &'static str, vips: &'static [&'static str]| {
        let backends = prop::collection::btree_set(1..6u8, 0..5);
        let hash = prop::sample::select(vec!["flow", "source"]);
        let made = (prop::sample::select(vips), 80..82u16, hash, backends);
        let made = made.prop_map(move |(vip, port, hash, backends)| {
            let port = if name == "a" { port } else { port + 10 };
            let backends: Vec<String> = backends.iter().map(|n| format!("10.0.0.{n}")).collect();
            let backends: Vec<&str> = backends.iter().map(String::as_str).collect();
            service(name, vip, port, hash, &backends)
        });
        prop::option::of(made)
    };
    let all = (
        one("a", &["198.51.100.10", "198.51.100.11"]),
        one("b", &["198.51.100.10", "198.51.100.12"]),
        one("c", &["198.51.100.13"]),
    );
    all.prop_map(|(a, b, c)| [a, b, c].into_iter().flatten().collect())
}

/// What packets meet of an image, wherever its tables lie.
fn met(image: &Image) -> Vec<(ServiceKey, bool, Option<Table>)> {
    let services = image.services();
    services
        .map(|(key, of)| (*key, of.is_by_source(), image.table(of.table).cloned()))
        .collect()
}

proptest! {
    // Promise: C8
    #[test]
    fn no_write_leaves_a_service_without_its_table_or_a_table_without_a_backend(
        turns in prop::collection::vec((services(), prop::collection::btree_set(1..20u16, 0..12), any::<bool>()), 1..8)
    ) {
        let (mut regions, mut image, mut maps) = (Regions::new(64), Image::default(), Watched::default());
        let (mut state_now, mut plan) = (State::new(1), Plan::default());
        for (services, down, whole) in turns {
            let next = state(&state_now, &services);
            let health = |id: BackendId| if down.contains(&id.0) { Health::Down } else { Health::Up };
            let named = state_now.services.iter().chain(next.services.iter());
            let names: BTreeSet<_> = named.map(|(name, _)| name.clone()).collect();
            let of = |state: &'_ State, name| state.services.get(name).cloned();
            let pairs: Vec<_> = names.iter().map(|name| (of(&state_now, name), of(&next, name))).collect();
            let pairs = pairs.iter().map(|(before, after)| (before.as_deref(), after.as_deref()));
            let change = plan.update(pairs, &health, &next_hops(&next));
            let difference = match whole {
                true => image.become_plan(&plan, &mut regions).unwrap(),
                false => image.change(&change, &mut regions).unwrap(),
            };
            difference.apply(&mut maps)?;
            maps.look()?;
            prop_assert_eq!(&maps.image, &image);
            prop_assert_eq!(&maps.told, &image.services);
            let fresh = Image::of(&plan);
            prop_assert_eq!(met(&image), met(&fresh));
            prop_assert_eq!(&image.backends, &fresh.backends);
            prop_assert_eq!(&image.vips, &fresh.vips);
            prop_assert_eq!(image.previous_of(&plan).tables, plan.tables.clone());
            // Some packets are through, and what they read is used again.
            if difference.backends.len() % 2 == 0 {
                maps.left.drain(..).for_each(|region| regions.give_back(region));
            }
            let taken: BTreeSet<Region> = regions.taken().collect();
            prop_assert_eq!(taken, image.regions().chain(maps.left.iter().copied()).collect());
            state_now = next;
        }
    }
}
