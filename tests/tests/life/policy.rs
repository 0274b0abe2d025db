//! Only what is declared passes.

use anyhow::{Result, ensure};
use testbed::{Load, Protocol, Site, Topology, World};

use crate::site;

const UNDECLARED: &str = "lb_packets_total{reason=\"undeclared_port\"}";

fn undeclared(site: &Site<'_>) -> Result<u64> {
    let reasons = site.edge.status()?.reasons;
    let count = reasons
        .iter()
        .find(|count| count.reason == "undeclared_port");
    Ok(count.map_or(0, |count| count.packets))
}

#[test]
fn an_undeclared_port_of_a_vip_gets_no_answer_and_is_counted() -> Result<()> {
    let world = World::new()?;
    let site = site(&world)?;
    let vip = site.workload.target.ip();
    let before = undeclared(&site)?;

    // The instances listen on their port under every address, so only the edge stands in between.
    let client = &site.topology.client;
    let url = format!("http://{vip}:{}/", Topology::PORT + 1);
    let failed = client.curl(&url).expect_err("nobody may answer");
    // 28: nothing came back in time, not even a reset.
    let failed = format!("{failed:#}");
    ensure!(failed.contains("exit status: 28"), "{failed}");
    let after_tcp = undeclared(&site)?;
    ensure!(after_tcp > before, "{before} before, {after_tcp} after");

    // The same port of another protocol is not declared either.
    let load = Load::send(client, site.workload.target, Protocol::Udp, 10, 5)?;
    ensure!(load.ok() == 0, "{:?}", load.names());
    let timed_out = load
        .failures()
        .keys()
        .all(|why| why.starts_with("no answer within"));
    ensure!(timed_out, "{:?}", load.failures());
    assert_eq!(undeclared(&site)?, after_tcp + 5);
    assert_eq!(site.edge.metric(UNDECLARED)?, (after_tcp + 5) as f64);

    let load = site.answered(30)?;
    ensure!(load.ok() == 30, "the declared one still answers");
    Ok(())
}
