//! What an operator lives through: daemons that die, instances that come and go, changes, restarts.

mod attachment;
mod daemon;
mod detach;
mod operator;
mod restart;

use std::net::IpAddr;

use anyhow::{Context, Result};
use balancer_api::views::BackendView;
use testbed::{Protocol, Site, Topology, Workload, World};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// The three instances with a TCP service on an IPv4 VIP, all of them up.
fn site(world: &World) -> Result<Site<'_>> {
    Site::start(world, &NAMES, workload())
}

fn workload() -> Workload {
    Workload::new(Topology::vip_v4(10), Protocol::Tcp)
}

/// How many slots each backend owns.
fn slots(site: &Site<'_>) -> Result<Vec<(IpAddr, usize)>> {
    Ok(site
        .edge
        .backends()?
        .iter()
        .map(|backend| (backend.address, backend.slots))
        .collect())
}

/// One of the site's backends, which must be there.
fn backend(site: &Site<'_>, address: IpAddr) -> Result<BackendView> {
    let backends = site.edge.backends()?;
    let found = backends
        .into_iter()
        .find(|backend| backend.address == address);
    found.with_context(|| format!("no backend {address}"))
}
