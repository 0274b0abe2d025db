//! The acts: each shows one thing and fails if it is not so.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use testbed::Load;

use crate::narrate::{act, shown, step};
use crate::site::{FALL, FOURTH, INSTANCES, INTERVAL_MS, SERVICE, Site, TIMEOUT_MS, vip};

/// Of 300 requests each of three instances gets at least this many.
const FEWEST: usize = 70;

/// Requests a second while something happens.
const RATE: u32 = 500;

/// Packets to a port of a VIP that no service declares; never 0 again after the second act.
const UNDECLARED: &str = "lb_packets_total{reason=\"undeclared_port\"}";

/// The story's question: who answers?
pub(crate) fn ten_curls(site: &mut Site) -> Result<()> {
    act("Ten curls to the VIP");
    let url = format!("http://{}/", vip());
    println!("$ curl {url}");
    for _ in 0..10 {
        println!("  {}", site.topology.client.curl(&url)?);
    }
    site.sent += 10;
    let load = step("300 requests", || site.requests(300))?;
    balanced(&load, &INSTANCES)
}

fn balanced(load: &Load, names: &[&str]) -> Result<()> {
    let answers = load.names();
    for (name, answers) in &answers {
        println!("  {answers} by {name}");
    }
    for name in names {
        let answers = answers.get(name).copied().unwrap_or_default();
        ensure!(answers >= FEWEST, "{name} answered only {answers} times");
    }
    ensure!(answers.len() == names.len(), "somebody else answered too");
    Ok(())
}

/// Only what is declared passes.
pub(crate) fn undeclared_port(site: &mut Site) -> Result<()> {
    act("A port of the VIP that nobody declared");
    let before = site.edge.metric(UNDECLARED)?;
    let url = format!("http://{}:{}/", vip().ip(), vip().port() + 1);
    match site.topology.client.curl(&url) {
        Ok(body) => bail!("{url} answered {body:?}"),
        Err(_) => println!("$ curl {url}\n  no answer"),
    }
    let dropped = site.edge.metric(UNDECLARED)? - before;
    ensure!(dropped >= 1.0, "{UNDECLARED} did not grow");
    println!("{UNDECLARED} grew by {dropped}");
    Ok(())
}

/// Health takes a dead instance out, and back in.
pub(crate) fn killed_instance(site: &mut Site) -> Result<()> {
    let name = INSTANCES[1];
    act(&format!(
        "{name} is killed, {RATE} requests a second running"
    ));
    let address = site.topology.instance(name)?.ipv4.into();
    let promised = Duration::from_millis((FALL * INTERVAL_MS + TIMEOUT_MS).into());
    let load = Load::start(&site.topology.client, vip(), RATE)?;
    thread::sleep(Duration::from_millis(500));
    let killed = Instant::now();
    site.topology.instance(name)?.kill();
    let out = site.wait_for_slots(address, false)?;
    let took = out - killed;
    thread::sleep(Duration::from_secs(2));
    let load = load.stop()?;
    site.sent += load.sent();
    println!(
        "out after {took:.1?} (promised: {FALL} x {INTERVAL_MS} ms + {TIMEOUT_MS} ms); {} requests failed until then",
        load.failed()
    );
    ensure!(took <= promised, "that is longer than promised");
    let after = load.since(out);
    println!(
        "after that: {} requests, {} failed",
        after.sent(),
        after.failed()
    );
    ensure!(
        after.failed() == 0,
        "failed after the instance was out: {:?}",
        after.failures()
    );

    step("it comes back", || {
        site.topology.instance(name)?.start(site.world)?;
        site.wait_for_slots(address, true)
    })?;
    let load = site.requests(300)?;
    balanced(&load, &INSTANCES)
}

/// The operator grows and shrinks the service.
pub(crate) fn fourth_instance(site: &mut Site) -> Result<()> {
    act("A fourth instance, by lbctl");
    step("its namespace, its server, its agent", || {
        site.topology.add_instance(site.world, FOURTH)?;
        site.agent.reload(site.world, &site.topology)
    })?;
    let address = site.topology.instance(FOURTH)?.ipv4.to_string();
    let add = ["backends", "add", SERVICE, &address];
    shown(
        &format!("lbctl {}", add.join(" ")),
        &site.edge.lbctl_ok(&add)?,
    );
    step("its checks pass", || {
        site.wait_for_slots(address.parse()?, true)
    })?;
    let load = site.requests(400)?;
    balanced(&load, &[&INSTANCES[..], &[FOURTH]].concat())?;

    let remove = ["backends", "remove", SERVICE, &address, "--wait", "30"];
    let output = step("drained and removed", || site.edge.lbctl_ok(&remove))?;
    shown(&format!("lbctl {}", remove.join(" ")), &output);
    let load = site.requests(300)?;
    balanced(&load, &INSTANCES)
}

/// The daemon's death is nothing to the traffic; a sentence for the summary.
pub(crate) fn killed_edge(site: &mut Site) -> Result<String> {
    act(&format!(
        "lbd edge is killed with SIGKILL, {RATE} requests a second running"
    ));
    let before = site.edge.metric(UNDECLARED)?;
    let load = Load::start(&site.topology.client, vip(), RATE)?;
    thread::sleep(Duration::from_secs(1));
    site.edge.kill();
    step("nobody at the wheel", || {
        thread::sleep(Duration::from_secs(2));
        Ok(())
    })?;
    step("lbd edge starts again", || {
        site.edge.start_again(site.world)
    })?;
    thread::sleep(Duration::from_secs(1));
    let load = load.stop()?;
    site.sent += load.sent();
    println!(
        "sent {}, ok {}, failed {}, p99 {:.1?}",
        load.sent(),
        load.ok(),
        load.failed(),
        load.quantile(0.99)
    );
    ensure!(load.failed() == 0, "requests failed: {:?}", load.failures());
    let reply = site.edge.lbctl_json(&["status"])?;
    ensure!(
        reply["items"][0]["taken_over"] == true,
        "the new daemon took nothing over: {reply}"
    );
    let counted = site.edge.metric(UNDECLARED)?;
    ensure!(
        counted >= before,
        "counters were lost: {UNDECLARED} is {counted}, was {before}"
    );
    println!("the new daemon took link and maps over; its counters go on");
    Ok(format!(
        "lbd edge killed under load: sent {}, failed {}",
        load.sent(),
        load.failed()
    ))
}

/// Status, lists, metrics.
pub(crate) fn what_the_operator_sees(site: &Site) -> Result<()> {
    act("What the operator sees");
    for arguments in [
        &["status"][..],
        &["services", "list"],
        &["backends", "list"],
    ] {
        shown(
            &format!("lbctl {}", arguments.join(" ")),
            &site.edge.lbctl_ok(arguments)?,
        );
    }
    let metrics = site.edge.metrics()?;
    let samples: Vec<&str> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    shown(
        "curl http://127.0.0.1:9107/metrics | grep -v '^#'",
        &samples.join("\n"),
    );
    Ok(())
}
