//! `lbd agent`: keeps the programs of each instance on a host attached, one loop for each.

use std::{fs, path::Path, time::Duration};

use sd_notify::NotifyState;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tracing::{info, warn};

use super::{Failure, edge::terminated, snapshot::reason_count};
use crate::{
    config::{AgentConfig, Instance, XdpMode},
    dataplane::{AgentPlane, AgentSettings, Attached, PinDir, Present, check_kernel},
    metrics::{
        self,
        agent::{InstanceCounts, Scrape},
    },
    netns::{self, Identity},
    nexthop::{self, AttachedMode},
};

/// How often an instance is looked after.
const TICK: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT. The instances' programs go on when it returns.
pub async fn run(file: &Path) -> Result<(), Failure> {
    let config = read(file)?;
    check_kernel()?;
    let pins = PinDir::new(&config.pin_dir);
    pins.create()?;
    let _lock = pins.lock()?;
    let listener = match config.metrics_listen {
        Some(listen) => Some(metrics::bind(listen).await?),
        None => None,
    };
    let (stop, stopped) = watch::channel(());
    let mut tasks = JoinSet::new();
    let mut first = Vec::new();
    let mut attendants = Vec::new();
    for instance in &config.instances {
        let (looked, first_look) = oneshot::channel();
        first.push(first_look);
        let (questions, asked) = mpsc::channel(1);
        attendants.push(questions);
        let attendant = Attendant {
            pins: pins.within(&instance.name),
            instance: instance.clone(),
            config: config.clone(),
            plane: None,
            trouble: None,
        };
        tasks.spawn(attendant.run(looked, asked, stopped.clone()));
    }
    if let Some(listener) = listener {
        let (scrapes_in, scrapes) = mpsc::channel(16);
        let mut stopped = stopped.clone();
        let over = async move { drop(stopped.changed().await) };
        tokio::spawn(metrics::agent::serve(listener, scrapes_in, over));
        tokio::spawn(collect(scrapes, attendants));
    }
    for look in first {
        if let Ok(Some(denied)) = look.await {
            return Err(denied);
        }
    }
    info!("attending {} instances", config.instances.len());
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    terminated()?.await;
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    drop(stop);
    tasks.join_all().await;
    info!("stopped; the instances' programs go on");
    Ok(())
}

/// Takes every instance's programs off and removes their pins, when no agent runs.
pub fn detach(file: &Path) -> Result<bool, Failure> {
    let config = read(file)?;
    let pins = PinDir::new(&config.pin_dir);
    if !pins.exists() {
        return Ok(false);
    }
    let _lock = pins.lock()?;
    let mut any = false;
    for instance in &config.instances {
        any |= AgentPlane::detach(&pins.within(&instance.name))?;
    }
    pins.remove_all()?;
    Ok(any)
}

/// A question for what an instance's packets met; `None` while its programs are not attached.
type Question = oneshot::Sender<Option<InstanceCounts>>;

/// Asks every attendant for each scrape.
async fn collect(mut scrapes: mpsc::Receiver<Scrape>, attendants: Vec<mpsc::Sender<Question>>) {
    while let Some(scrape) = scrapes.recv().await {
        let mut counts = Vec::new();
        for attendant in &attendants {
            let (question, answer) = oneshot::channel();
            if attendant.send(question).await.is_ok()
                && let Ok(Some(of_instance)) = answer.await
            {
                counts.push(of_instance);
            }
        }
        let _ = scrape.send(counts);
    }
}

/// Looks after one instance.
struct Attendant {
    config: AgentConfig,
    instance: Instance,
    pins: PinDir,
    /// The namespace that the programs are in, and what holds them.
    plane: Option<(Identity, AgentPlane)>,
    /// What was last complained of, so that it is said once.
    trouble: Option<String>,
}

impl Attendant {
    /// `looked` hears of the first look, whether or not the instance is there, and of the rights that it lacked.
    async fn run(
        mut self,
        looked: oneshot::Sender<Option<Failure>>,
        mut asked: mpsc::Receiver<Question>,
        mut stopped: watch::Receiver<()>,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked = Some(looked);
        loop {
            tokio::select! {
                _ = stopped.changed() => return,
                Some(question) = asked.recv() => {
                    let _ = question.send(self.counts());
                    continue;
                }
                _ = tick.tick() => {}
            }
            let denied;
            (self, denied) = tokio::task::spawn_blocking(move || {
                let denied = self.look();
                (self, denied)
            })
            .await
            .expect("looking after an instance does not panic");
            if let Some(looked) = looked.take() {
                let _ = looked.send(denied);
            }
        }
    }

    fn counts(&self) -> Option<InstanceCounts> {
        let (_, plane) = self.plane.as_ref()?;
        let reasons = plane.reasons().ok()?;
        Some(InstanceCounts {
            instance: self.instance.name.clone(),
            reasons: reasons.into_iter().map(reason_count).collect(),
        })
    }

    /// Gives what was refused for lack of rights.
    fn look(&mut self) -> Option<Failure> {
        match self.attend() {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    info!("{}: attended again", self.instance.name);
                }
                None
            }
            Err(trouble) => {
                // The same trouble differs from try to try in its numbers only.
                let kind = trouble
                    .to_string()
                    .replace(|c: char| c.is_ascii_digit(), "");
                if self.trouble.as_ref() != Some(&kind) {
                    warn!("{}: {trouble}", self.instance.name);
                    self.trouble = Some(kind);
                }
                trouble.is_denied().then_some(trouble)
            }
        }
    }

    /// Makes sure that VIPs and programs are in the instance's namespace, which a restart replaces.
    fn attend(&mut self) -> Result<(), Failure> {
        let path = &self.instance.netns;
        let identity = netns::identity(path).map_err(|source| Failure::Unreadable {
            path: path.clone(),
            source,
        })?;
        let vips = netns::add_vips(path, &self.instance.vips)?;
        for vip in vips {
            info!("{}: {vip} added to lo", self.instance.name);
        }
        let interface = self.instance.interface.clone();
        let view =
            netns::block_on_netns(path, || async move { nexthop::interface(&interface).await })??;
        let ours = |(of, plane): &(Identity, AgentPlane)| {
            *of == identity
                && plane.mtu() == view.mtu
                && view
                    .xdp
                    .is_some_and(|xdp| xdp.program_id == plane.program_id())
        };
        if self.plane.as_ref().is_some_and(ours) {
            return Ok(());
        }
        let settings = AgentSettings {
            interface: view.name,
            mtu: view.mtu,
            native: self.config.xdp_mode == XdpMode::Native,
            present: view.xdp.map(|xdp| Present {
                program_id: xdp.program_id,
                native: xdp.mode != AttachedMode::Generic,
            }),
            edges: self.config.edges.clone(),
            peers: self.config.peers.clone(),
            vips: self.instance.vips.clone(),
        };
        let pins = self.pins.clone();
        let (plane, attached) = netns::on_netns(path, || AgentPlane::attach(pins, &settings))??;
        match attached {
            Attached::Fresh => info!("{}: attached to {}", self.instance.name, settings.interface),
            Attached::TakenOver => info!(
                "{}: took over on {}",
                self.instance.name, settings.interface
            ),
        }
        self.plane = Some((identity, plane));
        Ok(())
    }
}

fn read(file: &Path) -> Result<AgentConfig, Failure> {
    let text = fs::read_to_string(file).map_err(|source| Failure::Unreadable {
        path: file.to_owned(),
        source,
    })?;
    Ok(AgentConfig::parse(&text, &file.display().to_string())?)
}
