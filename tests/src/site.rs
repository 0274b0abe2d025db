//! A topology with the real programs in it and one service over its instances.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    Agent, Edge, EdgeOptions, Load, Running, Topology, Workload, World, assert_native_xdp, wait_for,
};

/// How long a change of a backend may take to be seen.
const PATIENCE: Duration = Duration::from_secs(30);

/// For each instance so many requests that bad luck alone leaves one below 70 % of its share less than once in a million times.
const REQUESTS_EACH: usize = 200;

/// World, topology, programs, service.
pub struct Site<'w> {
    /// Where all of it is.
    pub world: &'w World,
    /// Client, router, edge, instances.
    pub topology: Topology,
    /// `lbd edge`.
    pub edge: Edge,
    /// `lbd agent`.
    pub agent: Agent,
    /// The service.
    pub workload: Workload,
}

impl<'w> Site<'w> {
    /// A topology of these instances, and everything on it.
    pub fn start(world: &'w World, instances: &[&str], workload: Workload) -> Result<Site<'w>> {
        Site::on(world, Topology::build(world, instances)?, workload)
    }

    /// Agent and edge on a topology; returns when every instance is up and the kernel says that the
    /// programs of edge and instances are attached in native mode.
    pub fn on(world: &'w World, topology: Topology, workload: Workload) -> Result<Site<'w>> {
        let agent = Agent::start(world, &topology, &[workload.target.ip()])?;
        Site::with_agent(world, topology, workload, agent)
    }

    /// The same, with an agent that runs already.
    pub fn with_agent(
        world: &'w World,
        topology: Topology,
        workload: Workload,
        agent: Agent,
    ) -> Result<Site<'w>> {
        Site::with_settings(world, topology, workload, agent, "")
    }

    /// The same, with these lines in the edge's file.
    pub fn with_settings(
        world: &'w World,
        topology: Topology,
        workload: Workload,
        agent: Agent,
        settings: &str,
    ) -> Result<Site<'w>> {
        let options = EdgeOptions {
            settings: settings.to_owned(),
            services: workload.declaration(&topology.instances),
        };
        let edge = Edge::start(world, "edge", &topology.edge, &options)?;
        let site = Site {
            world,
            topology,
            edge,
            agent,
            workload,
        };
        assert_native_xdp(&site.topology.edge, "eth0")?;
        for instance in &site.topology.instances {
            assert_native_xdp(&instance.namespace, "eth0")?;
            site.wait_until_up(site.workload.backend(instance))?;
        }
        Ok(site)
    }

    /// Sends so many requests, 500 a second.
    pub fn requests(&self, count: usize) -> Result<Load> {
        let Workload {
            target, protocol, ..
        } = self.workload;
        Load::send(&self.topology.client, target, protocol, 500, count)
    }

    /// Sends so many requests, none of which may fail.
    pub fn answered(&self, count: usize) -> Result<Load> {
        let load = self.requests(count)?;
        ensure!(
            load.failed() == 0,
            "{} of {count} failed: {:?}; {}",
            load.failed(),
            load.failures(),
            pace(&load)
        );
        Ok(load)
    }

    /// Sends requests, all of which are answered, and fairly: by each of `names` at least 70 % of an even share, and by
    /// nobody else.
    pub fn balanced(&self, names: &[&str]) -> Result<()> {
        self.answered(REQUESTS_EACH * names.len())?
            .ensure_balanced(names, REQUESTS_EACH * 7 / 10)
    }

    /// Sends 500 requests a second until stopped.
    pub fn load(&self) -> Result<Running> {
        Load::start(
            &self.topology.client,
            self.workload.target,
            self.workload.protocol,
            500,
        )
    }

    /// The service's backend of this address, as `lbctl` shows it; `None` when it is gone.
    pub fn backend(&self, address: IpAddr) -> Result<Option<Value>> {
        let reply = self
            .edge
            .lbctl_json(&["backends", "list", &self.workload.name])?;
        let items = reply["items"].as_array().context("a list has items")?;
        Ok(items
            .iter()
            .find(|item| item["address"] == *address.to_string())
            .cloned())
    }

    /// The backend address of the instance of this name.
    pub fn address(&self, instance: &str) -> Result<IpAddr> {
        Ok(self.workload.backend(self.topology.instance(instance)?))
    }

    /// Waits until a backend is up and owns slots; when that was.
    pub fn wait_until_up(&self, address: IpAddr) -> Result<Instant> {
        wait_for(
            &format!("{address} to be up and own slots"),
            PATIENCE,
            || match self.backend(address)? {
                Some(now) if now["health"] == "up" && now["slots"] != 0 => Ok(Instant::now()),
                now => bail!("it is {now:?}"),
            },
        )
    }

    /// Waits until a backend owns no slot, or is gone; when that was.
    pub fn wait_until_out(&self, address: IpAddr) -> Result<Instant> {
        wait_for(
            &format!("{address} to own no slot"),
            PATIENCE,
            || match self.backend(address)? {
                Some(now) if now["slots"] != 0 => bail!("it is {now}"),
                _ => Ok(Instant::now()),
            },
        )
    }
}

/// When the requests that failed were sent, and how long the others took: a machine that is too slow and a path that was
/// gone for a while look alike otherwise.
fn pace(load: &Load) -> String {
    let Some(first) = load.requests.first() else {
        return "none was sent".to_owned();
    };
    let failed = load.requests.iter().filter(|r| r.answer.is_err());
    let failed: Vec<Duration> = failed.map(|r| r.sent - first.sent).collect();
    let [half, most, all] = [0.5, 0.9, 1.0].map(|share| load.quantile(share));
    format!(
        "these were sent from {:?} to {:?} after the first; half of the others took {half:?}, 90 % {most:?}, all {all:?}",
        failed.first().unwrap_or(&Duration::ZERO),
        failed.last().unwrap_or(&Duration::ZERO),
    )
}
