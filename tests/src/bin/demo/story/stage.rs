//! The stage: two cities, everything that runs in them, and the operator's `lbctl workload`.

use std::cell::OnceCell;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testbed::{Cities, Fleet, Load, Runs, SiteDaemon, Staffed, World, program, wait_for};

use super::workload::{SLUG, WorkloadFile};

/// The workload's port.
pub(crate) const PORT: u16 = 8000;

/// How long anything may take to be so.
const PATIENCE: Duration = Duration::from_secs(90);

/// Two cities at work.
pub(crate) struct Stage<'w> {
    pub(crate) world: &'w World,
    pub(crate) fleet: Fleet,
    pub(crate) file: WorkloadFile,
    pub(crate) sites: Vec<SiteDaemon>,
    /// The workload's VIPs, once it has some.
    vips: OnceCell<Vec<IpAddr>>,
    /// How many requests were sent.
    pub(crate) sent: usize,
}

impl<'w> Stage<'w> {
    pub(crate) fn set(world: &'w World, runs: Runs) -> Result<Stage<'w>> {
        let cities = Cities::build(world)?;
        let fleet = Fleet::start(world, &cities, runs)?;
        let sites = [&fleet.sea, &fleet.dfw]
            .into_iter()
            .map(|staffed| {
                // Seconds instead of Kubernetes' five minutes: people are watching.
                SiteDaemon::start(world, staffed, &fleet.file, &["--scale-down-window", "10"])
            })
            .collect::<Result<_>>()?;
        Ok(Stage {
            world,
            fleet,
            file: WorkloadFile::write(world, runs)?,
            sites,
            vips: OnceCell::new(),
            sent: 0,
        })
    }

    /// The daemon of a city's site.
    pub(crate) fn site(&self, city: &str) -> Result<&SiteDaemon> {
        let site = self.sites.iter().find(|site| site.city() == city);
        site.with_context(|| format!("no site {city}"))
    }

    /// Runs `lbctl workload`, which must succeed; its standard output.
    pub(crate) fn lbctl(&self, arguments: &[&str]) -> Result<String> {
        let done = self.lbctl_command(arguments)?.output()?;
        if !done.status.success() {
            bail!(
                "lbctl workload {}: {}: {}{}",
                arguments.join(" "),
                done.status,
                String::from_utf8_lossy(&done.stdout),
                String::from_utf8_lossy(&done.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    fn lbctl_command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("lbctl")?);
        command
            .arg("workload")
            .args(arguments)
            .arg("-f")
            .arg(self.file.path())
            .arg("--fleet")
            .arg(&self.fleet.file);
        Ok(command)
    }

    /// What `lbctl workload status` says of each city.
    pub(crate) fn status(&self) -> Result<Vec<Value>> {
        let text = self.lbctl(&["status", "-o", "json"])?;
        let reply: Value =
            serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))?;
        let items = reply["items"].as_array().context("a status has items")?;
        Ok(items.clone())
    }

    /// The names of a city's instances that serve.
    pub(crate) fn serving(&self, city: &str) -> Result<Vec<String>> {
        let status = self.status()?;
        let of_city = status
            .iter()
            .find(|site| site["city"] == city)
            .with_context(|| format!("{city} is not in {status:?}"))?;
        let workloads = of_city["workloads"].as_array().into_iter().flatten();
        let instances = workloads
            .filter(|workload| workload["slug"] == SLUG)
            .flat_map(|workload| workload["instances"].as_array().into_iter().flatten());
        let mut names: Vec<String> = instances
            .filter(|instance| instance["phase"] == "serving")
            .filter_map(|instance| Some(instance["name"].as_str()?.to_owned()))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Waits until so many instances of a city serve, and nobody else is there; how long that took.
    pub(crate) fn wait_until_serving(&self, city: &str, count: usize) -> Result<Duration> {
        let started = Instant::now();
        let what = format!("{count} instances of {city} to serve");
        wait_for(&what, PATIENCE, || {
            let serving = self.serving(city)?;
            ensure!(serving.len() == count, "there are {serving:?}");
            Ok(started.elapsed())
        })
    }

    /// The workload's VIPs, by the sites' own word; they stay for its life.
    pub(crate) fn vips(&self) -> Result<&[IpAddr]> {
        if let Some(vips) = self.vips.get() {
            return Ok(vips);
        }
        let status = self.status()?;
        let workload = &status.first().context("no site")?["workloads"][0];
        let vips = workload["vips"].as_array().context("no VIPs")?;
        let vips: Vec<IpAddr> = vips
            .iter()
            .map(|vip| Ok(vip.as_str().context("a VIP is text")?.parse()?))
            .collect::<Result<_>>()?;
        Ok(self.vips.get_or_init(|| vips))
    }

    /// Where requests go over IPv4.
    pub(crate) fn target(&self) -> Result<SocketAddr> {
        let vips = self.vips()?;
        let vip = vips.iter().find(|vip| vip.is_ipv4());
        Ok(SocketAddr::new(*vip.context("no IPv4 VIP")?, PORT))
    }

    /// Who answers `count` curls from a city's client.
    pub(crate) fn curls(&mut self, city: &str, count: usize) -> Result<Vec<String>> {
        let url = format!("http://{}/", self.target()?);
        let client = &self.staffed(city)?.city.client;
        let names = (0..count).map(|_| client.curl(&url)).collect();
        self.sent += count;
        names
    }

    /// What is in a city.
    pub(crate) fn staffed(&self, city: &str) -> Result<&Staffed> {
        [&self.fleet.sea, &self.fleet.dfw]
            .into_iter()
            .find(|staffed| staffed.city.code == city)
            .with_context(|| format!("no city {city}"))
    }

    /// Fails if a request failed; counts them.
    pub(crate) fn none_failed(&mut self, load: &Load) -> Result<()> {
        self.sent += load.sent();
        ensure!(
            load.failed() == 0,
            "{} of {} requests failed: {:?}",
            load.failed(),
            load.sent(),
            load.failures()
        );
        Ok(())
    }
}
