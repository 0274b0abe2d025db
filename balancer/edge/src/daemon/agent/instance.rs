//! The control loop of one instance: its VIPs and its programs are put where they are missing.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use balancer_api::agent::AgentInstance;
use balancer_config::{AgentConfig, Instance, XdpMode};
use balancer_host::netns::{self, Identity};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::MissedTickBehavior,
};
use tracing::{info, warn};

use crate::{
    daemon::{Failure, edge::reason_count},
    dataplane::{AgentPlane, AgentSettings, Attached, PinDir, Present},
    metrics::agent::InstanceCounts,
    nexthop::{self, AttachedMode},
};

/// How often an instance is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What the first look at an instance lacked rights for; `None` whether the instance is there or not.
pub(super) type FirstLook = oneshot::Receiver<Option<Failure>>;

/// Asks for what an instance's packets met; the answer is `None` while its programs are not attached.
type CountsQuestion = oneshot::Sender<Option<InstanceCounts>>;

/// An instance that is attended, and the way to its control loop.
pub(super) struct AttendedInstance {
    instance: Instance,
    questions: mpsc::Sender<CountsQuestion>,
    attached: Arc<Attachment>,
    /// Dropped, it ends the loop.
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

/// Asks an instance's control loop for its counts.
#[derive(Clone)]
pub(super) struct Counter(mpsc::Sender<CountsQuestion>);

impl AttendedInstance {
    /// Begins to attend an instance whose programs are pinned in `pins`.
    pub(super) fn start(
        instance: Instance,
        config: AgentConfig,
        pins: PinDir,
    ) -> (Self, FirstLook) {
        let (looked, first_look) = oneshot::channel();
        let (questions, asked) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(());
        let attached = Arc::new(Attachment::default());
        let control = InstanceLoop {
            config,
            instance: instance.clone(),
            pins,
            plane: None,
            attached: Arc::clone(&attached),
            trouble: None,
        };
        let attended = Self {
            instance,
            questions,
            attached,
            stop,
            task: tokio::spawn(control.run(looked, asked, stopped)),
        };
        (attended, first_look)
    }

    /// The instance as it was declared.
    pub(super) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Whether its programs are in the namespace that its path leads to now, so that packets reach it.
    pub(super) fn is_attached(&self) -> bool {
        let found = netns::identity(&self.instance.netns).ok();
        found.is_some() && found == self.attached.get()
    }

    /// What the agent's interface shows of it.
    pub(super) fn view(&self) -> AgentInstance {
        AgentInstance {
            name: self.instance.name.clone(),
            netns: self.instance.netns.clone(),
            vips: self.instance.vips.clone(),
            attached: self.is_attached(),
        }
    }

    /// The way to its counts, for somebody who has time to wait for them.
    pub(super) fn counter(&self) -> Counter {
        Counter(self.questions.clone())
    }

    /// Ends the loop, and waits for its end; programs and VIPs stay.
    pub(super) async fn stop(self) -> Instance {
        drop(self.stop);
        let _ = self.task.await;
        self.instance
    }
}

impl Counter {
    /// What the instance's packets met; `None` while its programs are not attached.
    pub(super) async fn counts(&self) -> Option<InstanceCounts> {
        let (question, answer) = oneshot::channel();
        self.0.send(question).await.ok()?;
        answer.await.ok()?
    }
}

/// The namespace that an instance's programs and VIPs are in, for others to see.
#[derive(Default)]
struct Attachment(Mutex<Option<Identity>>);

impl Attachment {
    fn get(&self) -> Option<Identity> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, identity: Option<Identity>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = identity;
    }
}

struct InstanceLoop {
    config: AgentConfig,
    instance: Instance,
    pins: PinDir,
    /// The namespace that the programs are in, and what holds them.
    plane: Option<(Identity, AgentPlane)>,
    attached: Arc<Attachment>,
    /// What was last complained of, so that it is said once.
    trouble: Option<String>,
}

impl InstanceLoop {
    async fn run(
        mut self,
        looked: oneshot::Sender<Option<Failure>>,
        mut asked: mpsc::Receiver<CountsQuestion>,
        mut stopped: watch::Receiver<()>,
    ) {
        let mut tick = tokio::time::interval(LOOK_INTERVAL);
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
                self.attached
                    .set(self.plane.as_ref().map(|(identity, _)| *identity));
                if self.trouble.take().is_some() {
                    info!("{}: attended again", self.instance.name);
                }
                None
            }
            Err(trouble) => {
                self.attached.set(None);
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
        self.attached.set(None);
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
