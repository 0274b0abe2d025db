//! The stage: the site that the story is about.

use anyhow::{Result, ensure};
use testbed::{Load, Protocol, Site, Topology, Workload, World};

/// The workload's instances, as its owner would name them.
pub(crate) const INSTANCES: [&str; 3] = [
    "my-anycast-workload-global-sea-0",
    "my-anycast-workload-global-sea-1",
    "my-anycast-workload-global-sea-2",
];

/// The instance that comes later.
pub(crate) const FOURTH: &str = "my-anycast-workload-global-sea-3";

/// A site, and how many requests were sent to it.
pub(crate) struct Stage<'w> {
    pub(crate) site: Site<'w>,
    pub(crate) sent: usize,
}

impl<'w> Stage<'w> {
    pub(crate) fn set(world: &'w World, topology: Topology) -> Result<Stage<'w>> {
        let mut workload = Workload::new(Topology::vip_v4(10), Protocol::Tcp);
        workload.name = "my-anycast-workload-global".to_owned();
        workload.drain_timeout_ms = 2_000;
        Ok(Stage {
            site: Site::on(world, topology, workload)?,
            sent: 0,
        })
    }

    /// Sends so many requests, none of which may fail.
    pub(crate) fn requests(&mut self, count: usize) -> Result<Load> {
        let load = self.site.requests(count)?;
        self.sent += load.sent();
        ensure!(
            load.failed() == 0,
            "{} of {count} requests failed: {:?}",
            load.failed(),
            load.failures()
        );
        Ok(load)
    }
}
