//! The agent: whom it lets in, what it puts into the instances' namespaces, how it comes and goes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etherparse::PacketBuilder;
use testbed::{
    Agent, Namespace, Protocol, Site, Topology, Workload, World, assert_native_xdp, attach_pass,
    wait_for,
};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// An agent looks after its instances every second.
const PATIENCE: Duration = Duration::from_secs(20);

fn workload() -> Workload {
    Workload::new(Topology::vip_v4(10), Protocol::Tcp)
}

fn site(world: &World) -> Result<Site<'_>> {
    Site::start(world, &NAMES, workload())
}

/// The port that a question's answer goes to.
const ASKER: u16 = 700;

/// Sends an instance a datagram to the VIP, in GUE, from `sender`; what came back to the client.
fn ask_through(sender: &Namespace, topology: &Topology, vip: Ipv4Addr) -> Result<Option<String>> {
    let (client, instance) = (Ipv4Addr::new(192, 0, 2, 2), topology.instance("one")?.ipv4);
    let mut datagram = vec![0, 4, 0, 0];
    PacketBuilder::ipv4(client.octets(), vip.octets(), 64)
        .udp(ASKER, Topology::PORT)
        .write(&mut datagram, b"who?")?;
    let answers = topology
        .client
        .enter(|| UdpSocket::bind((client, ASKER)))??;
    answers.set_read_timeout(Some(Duration::from_secs(1)))?;
    let socket = sender.enter(|| UdpSocket::bind("0.0.0.0:0"))??;
    socket.connect(SocketAddr::from((instance, 6080)))?;
    socket.send(&datagram)?;
    let mut answer = [0; 64];
    let came = answers.recv(&mut answer);
    // Were it passed on to the instance's own stack, nobody would listen there, and that would be said.
    socket.set_nonblocking(true)?;
    let refused = socket.recv(&mut [0; 64]).expect_err("no answer comes here");
    ensure!(
        refused.kind() == std::io::ErrorKind::WouldBlock,
        "passed on, not dropped: {refused}"
    );
    Ok(came
        .ok()
        .map(|length| String::from_utf8_lossy(&answer[..length]).into_owned()))
}

// Promise: A1
#[test]
fn only_edges_may_send_encapsulated_packets() -> Result<()> {
    let world = World::new()?;
    let site = Site::start(
        &world,
        &NAMES,
        Workload::new(Topology::vip_v4(10), Protocol::Udp),
    )?;
    let sample = "lb_agent_packets_total{instance=\"one\",reason=\"source_not_allowed\"}";
    let dropped = || -> Result<u64> {
        let metrics = Agent::metrics(&site.topology.router)?;
        let line = metrics.lines().find_map(|line| line.strip_prefix(sample));
        let line = line.with_context(|| format!("no {sample} in\n{metrics}"))?;
        Ok(line.trim().parse()?)
    };
    assert_eq!(dropped()?, 0);
    let vip = Topology::vip_v4(10);
    let from_edge = ask_through(&site.topology.edge, &site.topology, vip)?;
    assert_eq!(from_edge.as_deref(), Some("one"));
    assert_eq!(dropped()?, 0);
    let from_client = ask_through(&site.topology.client, &site.topology, vip)?;
    assert_eq!(from_client, None);
    assert_eq!(dropped()?, 1);
    // And no packet gets at anything but VIPs that way.
    let other = ask_through(
        &site.topology.edge,
        &site.topology,
        site.topology.instance("one")?.ipv4,
    )?;
    assert_eq!(other, None);
    site.answered(100)?;
    Ok(())
}

// Promise: A7
#[test]
fn an_instance_in_a_new_namespace_of_the_same_path_is_attended_again() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    let address = site.address("two")?;
    let before = assert_native_xdp(&site.topology.instance("two")?.namespace, "eth0")?;
    site.topology.replace_instance(&world, "two")?;
    let instance = site.topology.instance("two")?;
    let after = wait_for("the agent to attend the new namespace", PATIENCE, || {
        assert_native_xdp(&instance.namespace, "eth0")
    })?;
    ensure!(
        before != after,
        "the program {before} has followed by itself"
    );
    site.wait_until_up(address)?;
    // Health asks the instance's own address; the VIP is there before the program.
    site.balanced(&NAMES)?;
    // The old namespace's link is gone, and its pin stands for the new one: a restart takes it over.
    site.agent.kill();
    site.answered(100)?;
    site.agent.start_again(&world, &site.topology)?;
    ensure!(
        site.agent.log().contains("two: took over on eth0"),
        "{}",
        site.agent.log()
    );
    site.balanced(&NAMES)
}

// Promise: K1
#[test]
fn a_killed_agent_is_nothing_to_the_traffic_and_its_successor_takes_over() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    let programs = |site: &Site<'_>| -> Result<Vec<u64>> {
        let instances = site.topology.instances.iter();
        instances
            .map(|each| assert_native_xdp(&each.namespace, "eth0"))
            .collect()
    };
    let before = programs(&site)?;
    let load = site.load()?;
    load.wait_for_more(500)?;
    site.agent.kill();
    load.wait_for_more(500)?;
    assert_eq!(programs(&site)?, before, "while no agent runs");
    site.agent.start_again(&world, &site.topology)?;
    load.wait_for_more(500)?;
    let load = load.stop()?;
    ensure!(
        load.failed() == 0,
        "{} of {}: {:?}",
        load.failed(),
        load.sent(),
        load.failures()
    );
    let log = site.agent.log();
    for (name, before) in NAMES.iter().zip(before) {
        ensure!(log.contains(&format!("{name}: took over on eth0")), "{log}");
        let now = assert_native_xdp(&site.topology.instance(name)?.namespace, "eth0")?;
        ensure!(
            now != before,
            "{name}: its own program, not its predecessor's"
        );
    }
    Ok(())
}

/// Whether `lo` of an instance has an address, with all its bits.
fn has_on_lo(instance: &Namespace, address: IpAddr) -> Result<bool> {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let shown = instance.run("ip", &["-oneline", "address", "show", "dev", "lo"])?;
    Ok(shown.contains(&format!(" {address}/{bits} ")))
}

#[test]
fn vips_are_on_the_loopback_and_come_back_when_somebody_removes_them() -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &["one"])?;
    let (v4, v6) = (
        IpAddr::from(Topology::vip_v4(10)),
        IpAddr::from(Topology::vip_v6(0x10)),
    );
    let instance = &topology.instance("one")?.namespace;
    for vip in [v4, v6] {
        ensure!(
            !has_on_lo(instance, vip)?,
            "{vip} is there before the agent"
        );
    }
    let _agent = Agent::start(&world, &topology, &[v4, v6])?;
    assert_native_xdp(instance, "eth0")?;
    for vip in [v4, v6] {
        ensure!(has_on_lo(instance, vip)?, "{vip} is not on lo");
    }
    instance.ip(&format!(
        "address del {v4}/32 dev lo\naddress del {v6}/128 dev lo\n"
    ))?;
    wait_for("the VIPs to be back", PATIENCE, || {
        for vip in [v4, v6] {
            ensure!(has_on_lo(instance, vip)?, "{vip} is missing");
        }
        Ok(())
    })
}

#[test]
fn another_program_on_an_instances_interface_is_left_alone_and_named() -> Result<()> {
    let world = World::new()?;
    let topology = Topology::build(&world, &["one", "two"])?;
    let namespace = &topology.instance("one")?.namespace;
    attach_pass(&world, namespace, "eth0")?;
    let pass = assert_native_xdp(namespace, "eth0")?;
    let agent = Agent::start(&world, &topology, &[workload().target.ip()])?;
    let log = agent.log();
    let named = format!("one: eth0 already has an XDP program, `pass` (id {pass})");
    ensure!(log.contains(&named), "{log}");
    assert_eq!(assert_native_xdp(namespace, "eth0")?, pass);
    // The others have their program nevertheless.
    assert_native_xdp(&topology.instance("two")?.namespace, "eth0")?;

    std::fs::remove_file(world.bpffs().join("pass-one-eth0"))?;
    wait_for("the agent's own program", PATIENCE, || {
        let program = assert_native_xdp(namespace, "eth0")?;
        ensure!(program != pass, "it is {program} still");
        Ok(())
    })?;
    wait_for("the agent to say so", PATIENCE, || {
        let log = agent.log();
        ensure!(log.contains("one: attended again"), "{log}");
        ensure!(log.matches(&named).count() == 1, "more than once: {log}");
        Ok(())
    })
}
