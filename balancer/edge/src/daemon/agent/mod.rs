//! `lbd agent`: keeps the programs of each instance on a host attached.

mod files;
mod instance;
mod instances;

use std::{fs, path::Path, time::Duration};

use balancer_api::{agent, server, token::configured};
use balancer_config::AgentConfig;
use balancer_host::signals::terminated;
use sd_notify::NotifyState;
use tokio::{
    sync::{mpsc, watch},
    time::MissedTickBehavior,
};
use tracing::info;

use self::instances::Instances;
use super::Failure;
use crate::{
    dataplane::{AgentPlane, PinDir, check_kernel},
    metrics,
};

/// How often the declared instances are compared with the attended ones.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT. The instances' programs go on when it returns.
pub async fn run(file: &Path) -> Result<(), Failure> {
    let config = read(file)?;
    check_kernel()?;
    let pins = PinDir::of_agent(&config.pin_dir);
    pins.create()?;
    let _lock = pins.lock()?;
    let metrics_listener = match config.metrics_listen {
        Some(listen) => Some(metrics::bind(listen).await?),
        None => None,
    };
    let api_listener = match &config.api_listen {
        Some(listen) => Some((
            server::bind_tcp(listen.address).await?,
            configured(listen.token_file.as_deref())?,
        )),
        None => None,
    };
    if let Some(directory) = &config.instance_dir {
        fs::create_dir_all(directory)?;
    }
    let (stop, stopped) = watch::channel(());
    let mut instances = Instances::new(config, pins);
    instances.follow().await;
    instances.leave_strangers()?;
    instances.first_looks().await?;

    let over = |mut stopped: watch::Receiver<()>| async move { drop(stopped.changed().await) };
    // The senders stay here, so that a question that nobody can ask is never the end of questions.
    let (scrapes_in, mut scrapes) = mpsc::channel(16);
    let (questions_in, mut questions) = mpsc::channel(16);
    if let Some(listener) = metrics_listener {
        let (scrapes, over) = (scrapes_in.clone(), over(stopped.clone()));
        tokio::spawn(metrics::agent::serve(listener, scrapes, over));
    }
    if let Some((listener, token)) = api_listener {
        let (questions, over) = (questions_in.clone(), over(stopped.clone()));
        tokio::spawn(agent::serve(listener, questions, token, over));
    }
    info!("attending {} instances", instances.len());
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let mut tick = tokio::time::interval(LOOK_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let terminated = terminated()?;
    tokio::pin!(terminated);
    loop {
        tokio::select! {
            () = &mut terminated => break,
            Some(scrape) = scrapes.recv() => instances.scrape(scrape),
            Some(question) = questions.recv() => instances.answer(question),
            _ = tick.tick() => instances.follow().await,
        }
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    drop(stop);
    instances.stop().await;
    info!("stopped; the instances' programs go on");
    Ok(())
}

/// Takes every instance's programs off and removes their pins, when no agent runs.
pub fn detach(file: &Path) -> Result<bool, Failure> {
    let config = read(file)?;
    let pins = PinDir::of_agent(&config.pin_dir);
    if !pins.exists() {
        return Ok(false);
    }
    let _lock = pins.lock()?;
    let mut any = false;
    for name in pins.names()? {
        any |= AgentPlane::detach(&pins.within(&name))?;
    }
    pins.remove_all()?;
    Ok(any)
}

fn read(file: &Path) -> Result<AgentConfig, Failure> {
    let text = fs::read_to_string(file).map_err(|source| Failure::Unreadable {
        path: file.to_owned(),
        source,
    })?;
    Ok(AgentConfig::parse(&text, &file.display().to_string())?)
}
