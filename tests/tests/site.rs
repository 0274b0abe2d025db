//! `lbd site` with real edges and agents: a workload's instances come, serve, change in number, and go.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use balancer_api::site_api::{
    client::SiteClient,
    requests::WorkloadBody,
    views::{Phase, SiteView, WorkloadView},
};
use serde_json::json;
use testbed::{
    Cities, Fleet, Load, Protocol, Runs, SiteDaemon, World, image_context, program, wait_for,
};
use tokio::runtime::Runtime as Tokio;

/// Building the image is not in it.
const PATIENCE: Duration = Duration::from_secs(60);

const VIP: &str = "198.51.100.1";

/// Two cities, of which Seattle's site runs.
struct Stage<'w> {
    world: &'w World,
    tokio: Tokio,
    fleet: Fleet,
    site: SiteDaemon,
    command: Vec<String>,
}

impl<'w> Stage<'w> {
    fn set(world: &'w World, runs: Runs) -> Result<Stage<'w>> {
        let cities = Cities::build(world)?;
        let fleet = Fleet::start(world, &cities, runs)?;
        let site = SiteDaemon::start(world, &fleet.sea, &fleet.file, &[])?;
        let server = match runs {
            Runs::Docker => "/instance".to_owned(),
            Runs::Builtin => {
                let server = program("instance")?;
                server.to_str().context("text")?.to_owned()
            }
        };
        let command = [&server, "--port", "8000", "--log"].map(str::to_owned);
        let stage = Stage {
            world,
            tokio: Tokio::new()?,
            fleet,
            site,
            command: command.to_vec(),
        };
        if runs == Runs::Docker {
            let context = image_context(world)?;
            let client = stage.site.client();
            let made = client.prepare_image("web:1", Some(context), |_| ());
            stage.tokio.block_on(made)?;
        }
        Ok(stage)
    }

    fn client(&self) -> SiteClient {
        self.site.client()
    }

    /// Has so many instances run.
    fn put(&self, min_replicas: u32, env: &str) -> Result<()> {
        let workload = json!({
            "name": "web", "slug": "web", "anycast": true,
            "containers": [{
                "name": "app", "image": "web:1", "command": self.command,
                "ports": [{"name": "http", "port": 8000, "protocol": "tcp", "public": true}],
                "cpu_millis": 500, "memory_bytes": 128 << 20, "env": {"VERSION": env},
                "readiness": {
                    "kind": {"type": "http", "port": 8000, "path": "/"},
                    "period_seconds": 1, "timeout_seconds": 1, "success_threshold": 1,
                    "failure_threshold": 3, "initial_delay_seconds": 0
                },
                "liveness": null
            }],
            "targets": [{
                "name": "global", "min_replicas": min_replicas, "max_replicas": min_replicas,
                "cpu_percent": null, "cities": ["SEA"]
            }]
        });
        let body = WorkloadBody {
            workload: serde_json::from_value(workload)?,
            vips: vec![VIP.parse()?],
            drain_timeout_seconds: 30,
        };
        Ok(self.tokio.block_on(self.client().put_workload(&body))?)
    }

    fn view(&self) -> Result<SiteView> {
        Ok(self.tokio.block_on(self.client().site())?)
    }

    fn workload(&self) -> Result<WorkloadView> {
        let site = self.view()?;
        let found = site.workloads.first().cloned();
        found.with_context(|| format!("no workload; {:?}", site.warnings))
    }

    /// Waits until it is as it was asked for, with so many instances.
    fn wait_until_converged(&self, count: usize) -> Result<Vec<String>> {
        wait_for(&format!("{count} instances to serve"), PATIENCE, || {
            let workload = self.workload()?;
            ensure!(
                workload.converged && workload.instances.len() == count,
                "{workload:#?}"
            );
            Ok(workload
                .instances
                .into_iter()
                .map(|each| each.name)
                .collect())
        })
    }

    fn target(&self) -> SocketAddr {
        SocketAddr::new(VIP.parse().expect("an address"), 8000)
    }

    /// Waits until the client's router has the VIP.
    fn wait_for_route(&self) -> Result<()> {
        let vip: IpAddr = VIP.parse()?;
        wait_for("the VIP to be announced", PATIENCE, || {
            ensure!(!self.fleet.sea.next_hops(vip)?.is_empty(), "it is not");
            Ok(())
        })
    }

    fn answered(&self, count: usize, names: &[String]) -> Result<()> {
        let client = &self.fleet.sea.city.client;
        let load = Load::send(client, self.target(), Protocol::Tcp, 500, count)?;
        ensure!(load.failed() == 0, "{:?}", load.failures());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        load.ensure_balanced(&names, count / names.len() / 2)
    }

    fn load(&self) -> Result<testbed::Running> {
        Load::start(
            &self.fleet.sea.city.client,
            self.target(),
            Protocol::Tcp,
            300,
        )
    }
}

fn none_failed(load: &Load) -> Result<()> {
    ensure!(
        load.failed() == 0,
        "{} of {} failed: {:?}",
        load.failed(),
        load.sent(),
        load.failures()
    );
    Ok(())
}

/// The whole life of a workload.
fn a_workload_lives(runs: Runs) -> Result<()> {
    let world = World::new()?;
    let stage = Stage::set(&world, runs)?;
    stage.put(2, "1")?;
    let names = stage.wait_until_converged(2)?;
    assert_eq!(names, ["web-global-sea-0", "web-global-sea-1"]);
    stage.wait_for_route()?;
    stage.answered(200, &names)?;

    // It grows and shrinks, and is replaced, and no request fails.
    let load = stage.load()?;
    stage.put(3, "1")?;
    let names = stage.wait_until_converged(3)?;
    load.wait_for_more(200)?;
    stage.put(2, "1")?;
    stage.wait_until_converged(2)?;
    load.wait_for_more(200)?;
    stage.put(2, "2")?;
    stage.wait_until_converged(2)?;
    load.wait_for_more(200)?;
    none_failed(&load.stop()?)?;
    assert_eq!(names.len(), 3);

    // Its daemon is nothing to it.
    let load = stage.load()?;
    let before = stage.workload()?.instances;
    stage.site.kill();
    load.wait_for_more(200)?;
    stage.site.start_again(stage.world)?;
    stage.wait_until_converged(2)?;
    let after = stage.workload()?.instances;
    let names = |instances: &[balancer_api::site_api::views::InstanceView]| -> Vec<String> {
        instances
            .iter()
            .map(|each| format!("{} {:?}", each.name, each.addresses))
            .collect()
    };
    assert_eq!(names(&before), names(&after));
    none_failed(&load.stop()?)?;

    // What it writes can be read.
    let client = stage.client();
    let line = stage.tokio.block_on(async {
        let slug = "web".parse().map_err(anyhow::Error::msg)?;
        let mut lines = client
            .logs(&slug, Some(&before[0].name), Some(1), false)
            .await?;
        anyhow::Ok(lines.next().await?)
    })?;
    let line = line.context("no line")?;
    assert_eq!(
        (line.instance.as_str(), line.container.as_str()),
        (before[0].name.as_str(), "app")
    );

    // It goes, and leaves nothing.
    let slug = "web".parse().map_err(anyhow::Error::msg)?;
    stage
        .tokio
        .block_on(stage.client().delete_workload(&slug))?;
    wait_for("the workload to go", PATIENCE, || {
        let site = stage.view()?;
        ensure!(site.workloads.is_empty(), "{site:#?}");
        Ok(())
    })?;
    let services = stage.fleet.sea.edge.services()?;
    ensure!(services.is_empty(), "{services:?}");
    if let Some(engine) = &stage.fleet.sea.engine {
        let left = engine.containers()?;
        ensure!(left.is_empty(), "{left:?}");
    }
    Ok(())
}

// Promise: F1
#[test]
fn a_workload_lives_in_containers() -> Result<()> {
    a_workload_lives(Runs::Docker)
}

// Promise: F1
#[test]
fn a_workload_lives_without_a_container_engine() -> Result<()> {
    a_workload_lives(Runs::Builtin)
}

// Promise: F4
#[test]
fn an_instance_that_ends_is_restarted_and_serves_again() -> Result<()> {
    let world = World::new()?;
    let stage = Stage::set(&world, Runs::Builtin)?;
    stage.put(2, "1")?;
    stage.wait_until_converged(2)?;
    stage.wait_for_route()?;
    // The server ends with a request for it.
    let address = stage.workload()?.instances[0].addresses[0];
    let host = &stage.fleet.sea.city.host;
    let _ = host.curl(&format!("http://{address}:8000/exit"));
    wait_for("the restart to be seen", PATIENCE, || {
        let workload = stage.workload()?;
        let restarts = workload.instances[0].restarts;
        ensure!(restarts == 1, "{workload:#?}");
        Ok(())
    })?;
    let names = stage.wait_until_converged(2)?;
    stage.answered(200, &names)
}

// Promise: F4
#[test]
fn an_image_that_does_not_exist_is_a_problem_with_a_sentence() -> Result<()> {
    let world = World::new()?;
    let stage = Stage::set(&world, Runs::Builtin)?;
    let mut broken = stage.command.clone();
    broken[0] = "/no/such/program".to_owned();
    let stage = Stage {
        command: broken,
        ..stage
    };
    stage.put(1, "1")?;
    wait_for("the problem", PATIENCE, || {
        let workload = stage.workload()?;
        match workload.problem {
            Some(problem) if problem.contains("/no/such/program") => Ok(()),
            other => bail!("{other:?} {:?}", workload.instances),
        }
    })?;
    let phases: Vec<Phase> = stage
        .workload()?
        .instances
        .iter()
        .map(|each| each.phase)
        .collect();
    ensure!(!phases.contains(&Phase::Serving), "{phases:?}");
    Ok(())
}
