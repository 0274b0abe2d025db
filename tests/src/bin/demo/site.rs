//! The site that the story is about: a topology with the real programs in it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testbed::{Agent, Edge, EdgeOptions, Load, Topology, World, wait_for};

/// The workload's instances, as its owner would name them.
pub(crate) const INSTANCES: [&str; 3] = [
    "my-anycast-workload-global-sea-0",
    "my-anycast-workload-global-sea-1",
    "my-anycast-workload-global-sea-2",
];

/// The instance that comes later.
pub(crate) const FOURTH: &str = "my-anycast-workload-global-sea-3";

/// The service's name.
pub(crate) const SERVICE: &str = "my-anycast-workload-global";

/// How its health is checked.
pub(crate) const FALL: u32 = 3;
/// Milliseconds from one check to the next.
pub(crate) const INTERVAL_MS: u32 = 200;
/// Milliseconds until a check counts as failed.
pub(crate) const TIMEOUT_MS: u32 = 200;

/// World, topology and programs.
pub(crate) struct Site<'w> {
    pub(crate) world: &'w World,
    pub(crate) topology: Topology,
    pub(crate) edge: Edge,
    pub(crate) agent: Agent,
    /// Requests sent so far.
    pub(crate) sent: usize,
}

impl<'w> Site<'w> {
    pub(crate) fn start(world: &'w World, topology: Topology) -> Result<Site<'w>> {
        let agent = Agent::start(world, &topology, &[vip().ip()])?;
        let options = EdgeOptions {
            services: service(&topology),
            ..EdgeOptions::default()
        };
        let edge = Edge::start(world, "edge", &topology.edge, &options)?;
        Ok(Site {
            world,
            topology,
            edge,
            agent,
            sent: 0,
        })
    }

    /// Sends so many requests, none of which may fail, and says who answered.
    pub(crate) fn requests(&mut self, count: usize) -> Result<Load> {
        let load = Load::http(&self.topology.client, vip(), 500, count)?;
        self.sent += load.sent();
        ensure!(
            load.failed() == 0,
            "{} of {count} requests failed: {:?}",
            load.failed(),
            load.failures()
        );
        Ok(load)
    }

    /// What `lbctl` says of one backend; `None` when it is gone.
    pub(crate) fn backend(&self, address: IpAddr) -> Result<Option<BackendNow>> {
        let reply = self.edge.lbctl_json(&["backends", "list", SERVICE])?;
        let items = reply["items"].as_array().context("a list has items")?;
        let address = address.to_string();
        let Some(item) = items.iter().find(|item| item["address"] == *address) else {
            return Ok(None);
        };
        Ok(Some(BackendNow {
            slots: item["slots"].as_u64().context("a backend has slots")?,
            health: item["health"]
                .as_str()
                .context("a backend has health")?
                .to_owned(),
        }))
    }

    /// Waits until a backend has slots, or none (also: is gone); when that was.
    pub(crate) fn wait_for_slots(&self, address: IpAddr, wanted: bool) -> Result<Instant> {
        let what = format!(
            "{address} to own {} slots",
            if wanted { "its" } else { "no" }
        );
        wait_for(&what, Duration::from_secs(15), || {
            let now = self.backend(address)?;
            let has = now.as_ref().is_some_and(|backend| backend.slots > 0);
            let settled = now
                .as_ref()
                .is_none_or(|backend| !wanted || backend.health == "up");
            if has != wanted || !settled {
                bail!("it is {now:?}");
            }
            Ok(Instant::now())
        })
    }
}

/// A backend at one moment.
#[derive(Debug)]
pub(crate) struct BackendNow {
    slots: u64,
    health: String,
}

/// Where the requests go.
pub(crate) fn vip() -> SocketAddr {
    SocketAddr::new(Topology::vip_v4(10).into(), Topology::PORT)
}

fn service(topology: &Topology) -> String {
    let vip = vip();
    let mut text = format!(
        "[[service]]\n\
         name = \"{SERVICE}\"\n\
         vip = \"{}\"\n\
         port = {}\n\
         protocol = \"tcp\"\n\
         encapsulation = \"gue\"\n\
         drain_timeout_ms = 2000\n\
         check = {{ type = \"http\", path = \"/\", interval_ms = {INTERVAL_MS}, \
         timeout_ms = {TIMEOUT_MS}, rise = 2, fall = {FALL} }}\n",
        vip.ip(),
        vip.port(),
    );
    for instance in &topology.instances {
        text.push_str(&format!(
            "[[service.backend]]\naddress = \"{}\"\nweight = 1\n",
            instance.ipv4
        ));
    }
    text
}
