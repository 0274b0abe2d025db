//! The acts: each shows one thing and fails if it is not so.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use balancer_api::views::BackendView;
use balancer_core::model::BackendState;
use testbed::bgp::wait_for_next_hops;
use testbed::{Load, Protocol, wait_for};

use super::stage::Stage;
use super::workload::SLUG;
use crate::narrate::{act, shown, step};

/// From `apply` to the last instance serving.
const MINUTE: Duration = Duration::from_secs(60);

/// From an edge that is cut off to its clients being served by the other city.
const FAILOVER: Duration = Duration::from_secs(3);

/// How long anything else may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The requests that growing and shrinking must not fail.
const MANY: usize = 10_000;

/// What the clients ask of Seattle so that its CPUs are above half: milliseconds of CPU time a
/// request, and requests a second, over three instances of 200 m each.
const BURN_MS: u32 = 2;
const BURN_RATE: u32 = 210;

/// What they ask besides, requests a second: so few that they leave the autoscaler in peace, also where an instance built for
/// debugging takes a whole millisecond for each.
const LIGHT_RATE: u32 = 200;

/// One command brings the workload up.
pub(crate) fn apply(stage: &mut Stage) -> Result<()> {
    act("One file, two cities: lbctl workload apply");
    shown("lbctl workload plan -f main.tf", &stage.lbctl(&["plan"])?);
    let started = Instant::now();
    let said = step("lbctl workload apply -f main.tf --yes", || {
        stage.lbctl(&["apply", "--yes"])
    })?;
    let took = started.elapsed();
    shown("lbctl workload apply -f main.tf --yes", &said);
    for city in ["SEA", "DFW"] {
        let serving = stage.serving(city)?;
        ensure!(serving.len() == 3, "{city} has {serving:?}");
    }
    println!("from the command to the last instance serving: {took:.1?}");
    ensure!(took < MINUTE, "that is not under a minute");
    let again = stage.lbctl(&["apply", "--yes"])?;
    ensure!(again.contains("No changes"), "applied again: {again}");
    println!("applied again: no changes");
    let vips = stage.vips()?.to_vec();
    for city in ["SEA", "DFW"] {
        let edge = stage.staffed(city)?.city.edge_addresses();
        for &vip in &vips {
            let hop = if vip.is_ipv4() {
                IpAddr::from(edge.0)
            } else {
                edge.1.into()
            };
            let router = &stage.staffed(city)?.city.router;
            wait_for_next_hops(router, vip, &[hop], Instant::now(), PATIENCE)?;
        }
    }
    println!("the routers of both cities have {vips:?} from their own edge, by BGP");
    Ok(())
}

/// The story's question: who answers?
pub(crate) fn ten_curls(stage: &mut Stage) -> Result<()> {
    act("Ten curls from near each city");
    let url = format!("http://{}/", stage.target()?);
    for city in ["SEA", "DFW"] {
        println!("near {city}$ curl {url}");
        let names = stage.curls(city, 10)?;
        for name in &names {
            println!("  {name}");
        }
        let expected = format!("{SLUG}-global-{}-", city.to_lowercase());
        ensure!(
            names.iter().all(|name| name.starts_with(&expected)),
            "others than {city}'s answered: {names:?}"
        );
        let load = requests(stage, city, 300)?;
        for (name, answers) in load.names() {
            println!("  of 300 more: {answers} by {name}");
        }
        ensure!(load.names().len() == 3, "not all three answered");
    }
    let mut undeclared = stage.target()?;
    undeclared.set_port(undeclared.port() + 1);
    let client = &stage.staffed("SEA")?.city.client;
    let answer = client.curl(&format!("http://{undeclared}/"));
    ensure!(answer.is_err(), "{undeclared} answered {answer:?}");
    println!("near SEA$ curl http://{undeclared}/\n  no answer: nobody declared that port");
    Ok(())
}

fn requests(stage: &mut Stage, city: &str, count: usize) -> Result<Load> {
    let target = stage.target()?;
    let client = &stage.staffed(city)?.city.client;
    let load = Load::send(client, target, Protocol::Tcp, 500, count)?;
    stage.none_failed(&load)?;
    Ok(load)
}

/// Load brings a fourth instance, and its end takes it away.
pub(crate) fn grows_with_load(stage: &mut Stage) -> Result<()> {
    act("Seattle's CPUs are busy");
    let target = stage.target()?;
    let client = stage.staffed("SEA")?.city.client.clone();
    let light = Load::start(&client, target, Protocol::Tcp, LIGHT_RATE)?;
    let burn = format!("/burn?ms={BURN_MS}");
    let heavy = Load::start_at(&client, target, &burn, BURN_RATE)?;
    let grew = step("a fourth instance appears", || {
        stage.wait_until_serving("SEA", 4)
    })?;
    println!(
        "after {grew:.1?} of {BURN_RATE} requests a second that burn {BURN_MS} ms each: {:?}",
        stage.serving("SEA")?
    );
    let fourth = stage.serving("SEA")?.pop().context("four instances")?;
    heavy.wait_for_more(500)?;
    let heavy = heavy.stop()?;
    let shrank = step("the load ends, and the fourth goes", || {
        stage.wait_until_serving("SEA", 3)
    })?;
    println!("after {shrank:.1?} without it");
    let so_far = heavy.sent();
    light.wait_for_more(MANY.saturating_sub(so_far).min(MANY))?;
    let light = light.stop()?;
    let taken = heavy.names().get(fourth.as_str()).copied().unwrap_or(0);
    println!(
        "meanwhile {} requests, {} failed; {fourth} answered {taken} of the heavy ones",
        heavy.sent() + light.sent(),
        heavy.failed() + light.failed()
    );
    ensure!(taken > 0, "the fourth instance took no traffic");
    ensure!(
        heavy.sent() + light.sent() >= MANY,
        "fewer than {MANY} requests"
    );
    stage.none_failed(&heavy)?;
    stage.none_failed(&light)
}

/// The operator edits the file.
pub(crate) fn edits(stage: &mut Stage) -> Result<()> {
    act("min_replicas 3 -> 2 -> 3, by editing the file");
    let target = stage.target()?;
    let client = stage.staffed("SEA")?.city.client.clone();
    let load = Load::start(&client, target, Protocol::Tcp, LIGHT_RATE / 2)?;
    for count in [2, 3] {
        stage.file.set_min_replicas(count)?;
        let what = format!("min_replicas = {count}, lbctl workload apply -f main.tf --yes");
        step(&what, || stage.lbctl(&["apply", "--yes"]))?;
        for city in ["SEA", "DFW"] {
            stage.wait_until_serving(city, count)?;
        }
        println!("{count} in each city");
    }
    let load = load.stop()?;
    println!(
        "meanwhile {} requests, {} failed",
        load.sent(),
        load.failed()
    );
    stage.none_failed(&load)
}

/// An edge that is gone is nothing that lasts.
pub(crate) fn edge_cut_off(stage: &mut Stage) -> Result<Duration> {
    act("Seattle's edge is cut off without a word");
    let target = stage.target()?;
    let city = stage.staffed("SEA")?.city.clone();
    let there = stage.staffed("DFW")?.city.clone();
    let load = Load::start(&city.client, target, Protocol::Tcp, 200)?;
    load.wait_for_more(100)?;
    let cut = Instant::now();
    city.cut_edge_off()?;
    let backbone: IpAddr = there.backbone_address().into();
    let detected = wait_for_next_hops(&city.router, target.ip(), &[backbone], cut, PATIENCE)?;
    load.wait_for_more(400)?;
    let load = load.stop()?;
    let first = load
        .since(cut)
        .requests
        .iter()
        .find(|request| matches!(&request.answer, Ok(name) if name.contains("-dfw-")))
        .map(|request| request.sent + request.took - cut)
        .context("Dallas never answered")?;
    println!(
        "noticed by BFD and routed to Dallas after {detected:.2?}; first answer from Dallas after {first:.2?}; \
         {} of {} requests failed until then (connections that change city are lost)",
        load.failed(),
        load.sent()
    );
    stage.sent += load.sent();
    ensure!(first < FAILOVER, "that is longer than {FAILOVER:?}");
    city.reconnect_edge()?;
    let own: IpAddr = city.edge_addresses().0.into();
    let back = Instant::now();
    let back = step("Seattle's edge is connected again", || {
        wait_for_next_hops(&city.router, target.ip(), &[own], back, PATIENCE)
    })?;
    println!("its clients return after {back:.1?}");
    let names = stage.curls("SEA", 10)?;
    ensure!(
        names.iter().all(|name| name.contains("-sea-")),
        "Seattle's clients got {names:?}"
    );
    Ok(first)
}

/// Cities don't need each other.
pub(crate) fn one_city_stops(stage: &mut Stage) -> Result<()> {
    act("Everything of Dallas stops; Seattle's maps do not change");
    // Its edge was cut off from its backends, too: their checks have to pass again first.
    wait_for("Seattle's backends to be up", PATIENCE, || {
        let backends = stage.fleet.sea.edge.backends()?;
        let settled = |each: &BackendView| {
            let takes_packets =
                each.is_up() && each.state == BackendState::Active && each.slots > 0;
            // One that has failed twice is still up, and may be down when its probe under way is over.
            takes_packets && each.last_check.is_none()
        };
        ensure!(backends.iter().all(settled), "{backends:?}");
        Ok(())
    })?;
    let before = stage.fleet.sea.edge.map_contents(stage.world)?;
    stage.fleet.dfw.edge.kill();
    stage.site("DFW")?.kill();
    requests(stage, "SEA", 300)?;
    let after = stage.fleet.sea.edge.map_contents(stage.world)?;
    let changed: Vec<&String> = before
        .keys()
        .chain(after.keys())
        .filter(|key| before.get(*key) != after.get(*key))
        .collect();
    ensure!(changed.is_empty(), "Seattle's maps changed: {changed:?}");
    println!("{} maps, byte for byte the same", before.len());
    stage.fleet.dfw.edge.start_again(stage.world)?;
    stage.site("DFW")?.start_again(stage.world)?;
    requests(stage, "DFW", 100).map(drop)
}

/// What an instance writes can be read.
pub(crate) fn logs(stage: &Stage) -> Result<()> {
    act("Logs of an instance");
    let name = stage
        .serving("SEA")?
        .first()
        .context("nobody serves")?
        .clone();
    let lines = stage.lbctl(&["logs", &name, "--tail", "3"])?;
    ensure!(lines.contains(&name), "no line of {name}: {lines}");
    shown(
        &format!("lbctl workload logs {name} --tail 3 -f main.tf"),
        &lines,
    );
    Ok(())
}

/// Nothing of the workload stays.
pub(crate) fn destroy(stage: &mut Stage) -> Result<()> {
    act("lbctl workload destroy");
    let vips: BTreeSet<IpAddr> = stage.vips()?.iter().copied().collect();
    let said = step("lbctl workload destroy -f main.tf --yes", || {
        stage.lbctl(&["destroy", "--yes"])
    })?;
    shown("lbctl workload destroy -f main.tf --yes", &said);
    for staffed in [&stage.fleet.sea, &stage.fleet.dfw] {
        let services = staffed.edge.services()?;
        ensure!(services.is_empty(), "services are left: {services:?}");
        if let Some(engine) = &staffed.engine {
            let containers = engine.containers()?;
            ensure!(containers.is_empty(), "containers are left: {containers:?}");
        }
        for &vip in &vips {
            wait_for("the VIP to be withdrawn", PATIENCE, || {
                let hops = staffed.next_hops(vip)?;
                ensure!(hops.is_empty(), "{vip} is routed to {hops:?}");
                Ok(())
            })?;
        }
    }
    println!("no service, no instance, no route is left");
    Ok(())
}
