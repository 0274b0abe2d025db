//! Health takes dead instances out of the table and lets them back in.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use testbed::{Protocol, Site, Topology, Workload, World, wait_for};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// What passes between a decision and `lbctl`'s sight of it, on a busy machine.
const SIGHT: Duration = Duration::from_millis(300);

fn a_dead_instance_goes_and_comes_back(vip: impl Into<IpAddr>, protocol: Protocol) -> Result<()> {
    let world = World::new()?;
    let site = Site::start(&world, &NAMES, Workload::new(vip, protocol))?;
    let (victim, address) = (site.topology.instance("two")?, site.address("two")?);
    let load = site.load()?;
    let killed = Instant::now();
    victim.kill();
    let out = site.wait_until_out(address)?;
    thread::sleep(Duration::from_secs(1));
    let load = load.stop()?;
    let (took, promised) = (out - killed, site.workload.detection());
    assert!(
        took <= promised + SIGHT,
        "out after {took:?}, promised {promised:?}"
    );
    let after = load.since(out);
    assert!(after.sent() > 100);
    assert_eq!(after.failed(), 0, "{:?}", after.failures());
    after.ensure_balanced(&["one", "three"], after.sent() / 4)?;

    victim.start(&world)?;
    site.wait_until_up(address)?;
    site.balanced(&NAMES)
}

// Promise: H2
#[test]
fn a_dead_instance_goes_and_comes_back_tcp_ipv4() -> Result<()> {
    a_dead_instance_goes_and_comes_back(Topology::vip_v4(10), Protocol::Tcp)
}

// Promise: H2
#[test]
fn a_dead_instance_goes_and_comes_back_udp_ipv4() -> Result<()> {
    a_dead_instance_goes_and_comes_back(Topology::vip_v4(10), Protocol::Udp)
}

// Promise: H2
#[test]
fn a_dead_instance_goes_and_comes_back_tcp_ipv6() -> Result<()> {
    a_dead_instance_goes_and_comes_back(Topology::vip_v6(0x10), Protocol::Tcp)
}

// Promise: H2
#[test]
fn a_dead_instance_goes_and_comes_back_udp_ipv6() -> Result<()> {
    a_dead_instance_goes_and_comes_back(Topology::vip_v6(0x10), Protocol::Udp)
}

// Promise: H6
#[test]
fn when_all_are_dead_all_get_packets_and_lbctl_says_so() -> Result<()> {
    let world = World::new()?;
    let site = Site::start(
        &world,
        &NAMES,
        Workload::new(Topology::vip_v4(10), Protocol::Tcp),
    )?;
    for instance in &site.topology.instances {
        instance.kill();
    }
    wait_for("the service to fail open", Duration::from_secs(10), || {
        let reply = site.edge.lbctl_json(&["services", "list"])?;
        anyhow::ensure!(reply["items"][0]["fails_open"] == true, "{reply}");
        Ok(())
    })?;
    for name in NAMES {
        let backend = site.backend(site.address(name)?)?.expect("it stays");
        assert!(backend["slots"].as_u64() > Some(0), "{backend}");
    }
    for instance in &site.topology.instances {
        instance.start(&world)?;
        site.wait_until_up(site.workload.backend(instance))?;
    }
    site.balanced(&NAMES)
}
