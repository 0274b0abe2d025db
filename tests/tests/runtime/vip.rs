//! Instances behind a VIP: client, router, `lbd edge`, and a host whose `lbd agent` attends what the runtime launched.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use balancer_site::runtime::Observed;
use testbed::{Agent, Edge, EdgeOptions, Namespace, Topology, World, assert_native_xdp, wait_for};

use crate::bed::Bed;

const PATIENCE: Duration = Duration::from_secs(30);
/// Where the host is in the fabric.
const HOST: &str = "10.1.0.20";
/// Of the upload.
const BYTES: usize = 1_000_000;

/// Builds it, with a host that is connected.
pub(crate) fn connect(world: &World) -> Result<(Topology, Namespace)> {
    let topology = Topology::build(world, &[])?;
    let host = topology.add_host(world, "host")?;
    topology.connect(&host, "eth0", "fabric", &[&format!("{HOST}/24")])?;
    host.ip("route add default via 10.1.0.1\n")?;
    topology
        .router
        .ip(&format!("route add 10.77.0.0/24 via {HOST}\n"))?;
    Ok((topology, host))
}

/// The VIP of instance `name`, and the service's declaration.
fn service(name: &str, vip: u8, address: IpAddr) -> String {
    format!(
        "[[service]]\nname = \"{name}\"\nvip = \"{}\"\nport = {port}\n\
         check = {{ type = \"http\", path = \"/\", interval_ms = 200, timeout_ms = 200, rise = 1, fall = 3 }}\n\
         [[service.backend]]\naddress = \"{address}\"\n",
        Topology::vip_v4(vip),
        port = Topology::PORT,
    )
}

/// Asks for `name` by its VIP, and uploads to it, from a network namespace.
fn ask_and_upload(world: &World, from: &Namespace, name: &str, vip: u8) -> Result<()> {
    let url = format!("http://{}:{}", Topology::vip_v4(vip), Topology::PORT);
    let said = wait_for(&format!("{name} to answer by its VIP"), PATIENCE, || {
        from.curl(&format!("{url}/"))
    })?;
    assert_eq!(said, name);
    let body = world.directory().join("body");
    fs::write(&body, vec![b'x'; BYTES])?;
    let body = format!("@{}", body.display());
    let upload = format!("{url}/upload");
    // A path that eats long or unfinished packets shows as a stall.
    let sent = from.run(
        "curl",
        &[
            "-sS",
            "--fail",
            "--max-time",
            "3",
            "--data-binary",
            &body,
            &upload,
        ],
    );
    let sent = sent.with_context(|| format!("upload from {} to {name}", from.name()))?;
    assert_eq!(sent, BYTES.to_string());
    Ok(())
}

pub(crate) fn instances_answer_and_are_uploaded_to_by_their_vip(
    bed: &Bed,
    topology: Topology,
) -> Result<()> {
    let world = &bed.world;
    let directory = world.directory().join("instances.d");
    let settings = format!(
        "edges = {:?}\ninstance_dir = \"{}\"\n",
        Topology::FABRIC,
        directory.display()
    );
    let _agent = Agent::start_with(world, &bed.host, &settings)?;
    let mut services = String::new();
    let names = [("one", 10), ("two", 11)];
    for (name, vip) in names {
        bed.launch(&bed.web(name))?;
        let seen = seen(bed, name)?;
        let address = *seen.addresses.first().context("an address")?;
        services.push_str(&service(name, vip, address));
        let text = format!(
            "name = \"{name}\"\nnetns = \"{}\"\nvips = [\"{}\"]\n",
            seen.netns.display(),
            Topology::vip_v4(vip)
        );
        fs::write(directory.join(format!("{name}.toml")), text)?;
        let inside = Namespace::adopt(name, &seen.netns)?;
        wait_for("the instance to be attended", PATIENCE, || {
            assert_native_xdp(&inside, "eth0")
        })?;
    }
    let options = EdgeOptions {
        services,
        ..EdgeOptions::default()
    };
    let _edge = Edge::start(world, "edge", &topology.edge, &options)?;
    assert_native_xdp(&topology.edge, "eth0")?;
    for (name, vip) in names {
        ask_and_upload(world, &topology.client, name, vip)?;
    }
    // An instance is a client, too: of the other one.
    let one = Namespace::adopt("one-as-client", &seen(bed, "one")?.netns)?;
    ask_and_upload(world, &one, "two", 11)?;
    let metrics = Agent::metrics(&bed.host)?;
    let sample = "lb_agent_packets_total{instance=\"two\",reason=\"decapsulated\"} ";
    let taken = metrics.lines().find_map(|line| line.strip_prefix(sample));
    let taken: usize = taken.context("the agent counts")?.parse()?;
    ensure!(
        taken > 2 * BYTES / 1_500,
        "{taken} packets were decapsulated"
    );
    Ok(())
}

fn seen(bed: &Bed, name: &str) -> Result<Observed> {
    let mut all = bed.list().into_iter();
    all.find(|seen| seen.name == name)
        .context("it was launched")
}
