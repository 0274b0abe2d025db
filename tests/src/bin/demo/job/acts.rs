//! The acts: each shows one thing and fails if it is not so.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use testbed::Load;

use super::stage::{FOURTH, INSTANCES, Stage};
use crate::narrate::{act, shown, step};

/// Of 300 requests each of three instances gets at least this many.
const FEWEST: usize = 70;

/// Packets to a port of a VIP that no service declares; never 0 again after the second act.
const UNDECLARED: &str = "lb_packets_total{reason=\"undeclared_port\"}";

/// The story's question: who answers?
pub(crate) fn ten_curls(stage: &mut Stage) -> Result<()> {
    act("Ten curls to the VIP");
    let url = format!("http://{}/", stage.site.workload.target);
    println!("$ curl {url}");
    for _ in 0..10 {
        println!("  {}", stage.site.topology.client.curl(&url)?);
    }
    stage.sent += 10;
    let load = step("300 requests", || stage.requests(300))?;
    balanced(&load, &INSTANCES)
}

fn balanced(load: &Load, names: &[&str]) -> Result<()> {
    for (name, answers) in load.names() {
        println!("  {answers} by {name}");
    }
    load.ensure_balanced(names, FEWEST)
}

/// Only what is declared passes.
pub(crate) fn undeclared_port(stage: &mut Stage) -> Result<()> {
    act("A port of the VIP that nobody declared");
    let site = &stage.site;
    let before = site.edge.metric(UNDECLARED)?;
    let mut undeclared = site.workload.target;
    undeclared.set_port(undeclared.port() + 1);
    match site.topology.client.curl(&format!("http://{undeclared}/")) {
        Ok(body) => bail!("{undeclared} answered {body:?}"),
        Err(_) => println!("$ curl http://{undeclared}/\n  no answer"),
    }
    let dropped = site.edge.metric(UNDECLARED)? - before;
    ensure!(dropped >= 1.0, "{UNDECLARED} did not grow");
    println!("{UNDECLARED} grew by {dropped}");
    Ok(())
}

/// Health takes a dead instance out, and back in.
pub(crate) fn killed_instance(stage: &mut Stage) -> Result<()> {
    let name = INSTANCES[1];
    act(&format!("{name} is killed, 500 requests a second running"));
    let site = &stage.site;
    let instance = site.topology.instance(name)?;
    let address = site.address(name)?;
    let load = site.load()?;
    thread::sleep(Duration::from_millis(500));
    let killed = Instant::now();
    instance.kill();
    let out = site.wait_until_out(address)?;
    thread::sleep(Duration::from_secs(2));
    let load = load.stop()?;
    let (took, promised) = (out - killed, site.workload.detection());
    println!(
        "out after {took:.0?} (promised: fall x interval + timeout, {promised:.0?}); \
         {} requests failed until then",
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
        "failed after it was out: {:?}",
        after.failures()
    );
    stage.sent += load.sent();

    step("it comes back", || {
        instance.start(site.world)?;
        site.wait_until_up(address)
    })?;
    let load = stage.requests(300)?;
    balanced(&load, &INSTANCES)
}

/// The operator grows and shrinks the service.
pub(crate) fn fourth_instance(stage: &mut Stage) -> Result<()> {
    act("A fourth instance, by lbctl");
    let site = &mut stage.site;
    step("its namespace, its server, its agent", || {
        site.topology.add_instance(site.world, FOURTH)?;
        site.agent.reload(site.world, &site.topology)
    })?;
    let service = site.workload.name.clone();
    let address = site.address(FOURTH)?;
    let backend = address.to_string();
    let add = ["backends", "add", &service, &backend];
    shown(
        &format!("lbctl {}", add.join(" ")),
        &site.edge.lbctl_ok(&add)?,
    );
    step("its checks pass", || site.wait_until_up(address))?;
    let load = stage.requests(400)?;
    balanced(&load, &[&INSTANCES[..], &[FOURTH]].concat())?;

    let remove = ["backends", "remove", &service, &backend, "--wait", "30"];
    let output = step("drained and removed", || stage.site.edge.lbctl_ok(&remove))?;
    shown(&format!("lbctl {}", remove.join(" ")), &output);
    let load = stage.requests(300)?;
    balanced(&load, &INSTANCES)
}

/// The daemon's death is nothing to the traffic; a sentence for the summary.
pub(crate) fn killed_edge(stage: &mut Stage) -> Result<String> {
    act("lbd edge is killed with SIGKILL, 500 requests a second running");
    let site = &mut stage.site;
    let before = site.edge.metric(UNDECLARED)?;
    let load = site.load()?;
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
    let (sent, failed) = (load.sent(), load.failed());
    println!(
        "sent {sent}, ok {}, failed {failed}, p99 {:.1?}",
        load.ok(),
        load.quantile(0.99)
    );
    ensure!(failed == 0, "requests failed: {:?}", load.failures());
    ensure!(site.edge.took_over()?, "the new daemon took nothing over");
    let counted = site.edge.metric(UNDECLARED)?;
    ensure!(
        counted >= before,
        "counters were lost: {UNDECLARED} is {counted}, was {before}"
    );
    println!("the new daemon took link and maps over; its counters go on");
    stage.sent += sent;
    Ok(format!(
        "lbd edge killed under load: sent {sent}, failed {failed}"
    ))
}

/// Status, lists, metrics.
pub(crate) fn what_the_operator_sees(stage: &Stage) -> Result<()> {
    act("What the operator sees");
    let edge = &stage.site.edge;
    for arguments in [
        &["status"][..],
        &["services", "list"],
        &["backends", "list"],
    ] {
        shown(
            &format!("lbctl {}", arguments.join(" ")),
            &edge.lbctl_ok(arguments)?,
        );
    }
    let metrics = edge.metrics()?;
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
