//! Looking after one instance: its VIPs and its programs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::MissedTickBehavior,
};
use tracing::{info, warn};

use crate::{
    config::{AgentConfig, Instance, XdpMode},
    daemon::{Failure, snapshot::reason_count},
    dataplane::{AgentPlane, AgentSettings, Attached, PinDir, Present},
    metrics::agent::InstanceCounts,
    netns::{self, Identity},
    nexthop::{self, AttachedMode},
};

/// How often an instance is looked after.
const TICK: Duration = Duration::from_secs(1);

/// A question for what an instance's packets met; `None` while its programs are not attached.
pub(super) type Question = oneshot::Sender<Option<InstanceCounts>>;

/// Looks after one instance.
pub(super) struct InstanceTask {
    pub(super) config: AgentConfig,
    pub(super) instance: Instance,
    pub(super) pins: PinDir,
    /// The namespace that the programs are in, and what holds them.
    pub(super) plane: Option<(Identity, AgentPlane)>,
    /// Whether its programs are attached, for others to see.
    pub(super) attached: Arc<AtomicBool>,
    /// What was last complained of, so that it is said once.
    pub(super) trouble: Option<String>,
}

impl InstanceTask {
    /// `looked` hears of the first look, whether or not the instance is there, and of the rights that it lacked.
    pub(super) async fn run(
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
                self.attached.store(false, Ordering::Relaxed);
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
        self.attached.store(false, Ordering::Relaxed);
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
        self.attached.store(true, Ordering::Relaxed);
        Ok(())
    }
}
