//! `lbd site`: runs a city's instances, and keeps its edges told of them.

mod agent;
mod autoscaling;
mod controller;
mod cpu;
mod dropins;
mod edge;
mod edges;
mod failure;
mod instances;
mod messages;
mod output;
mod probes;
mod problems;
mod state;
mod tasks;
mod view;
mod warning;
mod workloads;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use balancer_api::{client::Client, site_api, token::configured};
use balancer_config::{FleetConfig, RuntimeKind, Site, SiteHost};
use balancer_core::model::{City, Endpoint};
use balancer_host::signals::terminated;
use sd_notify::NotifyState;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

pub use self::failure::Failure;
use self::{
    agent::Agent, autoscaling::Autoscaling, controller::Controller, edges::Edges,
    messages::Speaker, probes::Probes, state::SiteState,
};
use crate::runtime::{Builtin, Docker, Runtime};

/// How long an edge or an agent may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What `lbd site` is told on the command line.
#[derive(Clone, Debug)]
pub struct Options {
    /// The fleet file.
    pub fleet: PathBuf,
    /// Whose instances it runs.
    pub city: City,
    /// Where its memory is kept.
    pub state_dir: PathBuf,
    /// How long a lower load must last before instances go, in milliseconds.
    pub scale_down_window_ms: u64,
}

/// Runs until SIGTERM or SIGINT. The instances go on when it returns.
pub async fn run(options: &Options) -> Result<(), Failure> {
    let site = read(&options.fleet, &options.city)?;
    let state = SiteState::open(&options.state_dir)?;
    let host = host(&site, &options.city);
    let runtime = runtime(host, &options.state_dir)?;
    let agent = client(&host.agent, host.agent_token_file.as_deref())?;
    let agent = Agent::open(agent, &host.instance_dir)?;
    let speaker = Speaker {
        city: options.city.clone(),
        agent: host.agent.to_string(),
    };
    let mut edges = BTreeMap::new();
    for edge in &site.edges {
        let client = client(&edge.api, edge.token_file.as_deref())?;
        edges.insert(edge.name.clone(), client);
    }
    let (probes, reports) = Probes::start();
    let controller = Controller::new(
        options.city.clone(),
        Arc::clone(&runtime),
        state,
        agent,
        Edges::start(speaker, edges),
        probes,
        Autoscaling::new(options.scale_down_window_ms),
    );

    let socket = site_api::server::Listeners::open(&site.api, site.token_file.as_deref()).await?;
    let (commands_in, commands) = mpsc::channel(64);
    let (stop, stopped) = watch::channel(());
    let serving = tokio::spawn(socket.serve(commands_in, over(stopped)));
    info!(
        "running the instances of {} ({}); lbctl: {}",
        options.city,
        runtime.kind(),
        site.api
    );
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    controller.run(commands, reports, terminated()?).await;
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    drop(stop);
    if let Ok(Err(error)) = serving.await {
        warn!("the API: {error}");
    }
    info!("stopped; the instances of {} go on", options.city);
    Ok(())
}

async fn over(mut stopped: watch::Receiver<()>) {
    drop(stopped.changed().await);
}

fn read(fleet: &Path, city: &City) -> Result<Site, Failure> {
    let text = fs::read_to_string(fleet).map_err(|source| Failure::Unreadable {
        path: fleet.to_owned(),
        source,
    })?;
    let config = FleetConfig::parse(&text, &fleet.display().to_string())?;
    let site = config.site(city).cloned();
    site.ok_or_else(|| Failure::NoSite {
        fleet: fleet.to_owned(),
        city: city.to_string(),
        cities: config
            .sites
            .iter()
            .map(|site| site.city.to_string())
            .collect::<Vec<_>>()
            .join(", "),
    })
}

/// The host that runs the instances: the first one.
fn host<'a>(site: &'a Site, city: &City) -> &'a SiteHost {
    if site.hosts.len() > 1 {
        warn!(
            "{city} has {} hosts: all instances run on {}, the others have none yet",
            site.hosts.len(),
            site.hosts[0].name
        );
    }
    // A fleet file's sites have one at least.
    &site.hosts[0]
}

fn runtime(host: &SiteHost, state_dir: &Path) -> Result<Arc<dyn Runtime>, Failure> {
    let network = host.network.clone();
    Ok(match &host.runtime {
        RuntimeKind::Docker { engine } => Arc::new(Docker::connect(&engine.to_string(), network)?),
        RuntimeKind::Builtin => {
            warn!("no container engine: instances are processes, and images are not used");
            Arc::new(Builtin::new(
                network,
                state_dir.join("instances"),
                cgroup(&host.name, state_dir)?,
            )?)
        }
    })
}

/// Where a host's cgroups go, from the root of each hierarchy. What ends an instance ends all in its cgroups: another
/// site whose host has the same name, with a state directory of its own, must not find its instances there.
fn cgroup(host: &str, state_dir: &Path) -> Result<String, Failure> {
    // A directory has many names, one for each mount namespace and link.
    let identity = fs::metadata(state_dir).map_err(|source| Failure::Unreadable {
        path: state_dir.to_owned(),
        source,
    })?;
    Ok(format!(
        "balancer/{host}-{:x}-{:x}",
        identity.dev(),
        identity.ino()
    ))
}

fn client(endpoint: &Endpoint, token_file: Option<&Path>) -> Result<Client, Failure> {
    let token = configured(token_file)?;
    Ok(Client::new(endpoint.clone())
        .with_token(token)
        .with_timeout(ANSWER_TIMEOUT))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: F4
    #[test]
    fn sites_with_hosts_of_one_name_have_cgroups_of_their_own() {
        let place = tempfile::tempdir().unwrap();
        let [one, other, link] = ["one", "other", "link"].map(|name| place.path().join(name));
        fs::create_dir(&one).unwrap();
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let of = |state: &Path| cgroup("host", state).unwrap();
        assert_ne!(of(&one), of(&other));
        assert_eq!(of(&one), of(&link));
        assert!(cgroup("host", &place.path().join("missing")).is_err());
    }
}
