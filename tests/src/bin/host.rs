//! A host with one instance on it, as a test has it, until it is killed.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use balancer_config::HostNetwork;
use balancer_config::workload::Container;
use balancer_site::runtime::{Builtin, Docker, InstanceSpec, Runtime};
use clap::{Parser, ValueEnum};
use futures::TryStreamExt;
use testbed::{CGROUPS, Engine, World, image_context, program, wait_for};

const IMAGE: &str = "testbed:1";

#[derive(Parser)]
struct Arguments {
    /// What runs the instance
    runs: Runs,
}

#[derive(Clone, Copy, ValueEnum)]
enum Runs {
    Docker,
    Builtin,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments { runs } = Arguments::parse();
    let world = World::new()?;
    let host = world.add_namespace("host")?;
    let network = HostNetwork {
        bridge: "lb0".to_owned(),
        subnet: "10.77.0.0/24".parse()?,
        gateway: "10.77.0.1".parse()?,
        subnet6: None,
        gateway6: None,
        mtu: 1600,
    };
    // Held until the end.
    let engine;
    let (runtime, server): (Box<dyn Runtime>, String) = match runs {
        Runs::Docker => {
            engine = Engine::start(&world, &host)?;
            let docker = Docker::connect(&engine.address(), network)?;
            let mut progress = docker.prepare_image(IMAGE, Some(image_context(&world)?));
            while progress.try_next().await?.is_some() {}
            drop(progress);
            (Box::new(docker), "/instance".to_owned())
        }
        Runs::Builtin => {
            let state = world.directory().join("instances");
            let mut builtin = Builtin::new(network, state, format!("{CGROUPS}/{}", world.name()))?;
            builtin.supervisor(program("lbd")?);
            builtin.host_netns(host.path());
            (
                Box::new(builtin),
                program("instance")?.display().to_string(),
            )
        }
    };
    let container = Container {
        name: "web".parse().map_err(anyhow::Error::msg)?,
        image: IMAGE.to_owned(),
        command: vec![server, "--name".to_owned(), "held".to_owned()],
        ports: Vec::new(),
        cpu_millis: 500,
        memory_bytes: 64 << 20,
        env: BTreeMap::new(),
        sensitive: Default::default(),
        readiness: None,
        liveness: None,
    };
    let spec = InstanceSpec {
        name: "held".to_owned(),
        labels: BTreeMap::new(),
        containers: vec![container],
    };
    runtime.launch(&spec).await?;
    let seen = runtime.list().await?;
    let address = *seen
        .first()
        .and_then(|seen| seen.addresses.first())
        .context("the instance has an address")?;
    let answer = wait_for("an answer", std::time::Duration::from_secs(10), || {
        host.curl(&format!("http://{address}:8000/"))
    })?;
    println!("{answer} answers");
    std::future::pending().await
}
