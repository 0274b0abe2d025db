//! What the edge has announced, and how it withdraws before it lets go.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use balancer_api::views::{AnnounceView, VipView};
use balancer_config::{AnnounceConfig, EdgeConfig};
use balancer_core::{
    model::{OnStop, ServiceName},
    reconcile::{self, EdgeConditions, Usable, WithheldReason},
};
use tokio::{sync::watch, time::sleep};
use tracing::{info, warn};

use crate::{
    announce::{self, Announcer, SpeakerStatus},
    daemon::Failure,
};

/// How long a speaker may take to confirm a withdrawal; then things go on without it.
const CONFIRMATION: Duration = Duration::from_secs(4);

/// The way to the speaker, and what it was asked for.
pub(super) struct Announcing {
    config: AnnounceConfig,
    wanted: watch::Sender<Option<BTreeSet<IpAddr>>>,
    told: watch::Receiver<SpeakerStatus>,
    /// The VIP of each service, and whether it has a usable backend.
    services: BTreeMap<ServiceName, (IpAddr, Usable)>,
    /// Every VIP: announced, or why not, as decided last.
    decided: Arc<BTreeMap<IpAddr, Result<(), WithheldReason>>>,
    /// The VIPs that an earlier daemon announced, until something is decided.
    inherited: BTreeSet<IpAddr>,
    /// Those that the maps were last written for in full.
    served: BTreeSet<IpAddr>,
    stopping: bool,
}

impl Announcing {
    /// Starts announcing as configured; nothing changes at the speaker before the first decision.
    pub(super) async fn start(config: &EdgeConfig) -> Result<Option<Announcing>, Failure> {
        let inherited = announce::remembered(&config.state_dir)?;
        let Some(announce) = config.announce.clone() else {
            if let Some(memory) = inherited.filter(|memory| !memory.vips.is_empty()) {
                let from = &memory.speaker;
                match announce::withdraw_remembered(&config.state_dir).await {
                    Ok(_) => info!("no [announce] any more: withdrawn from {from}"),
                    Err(error) => warn!("no [announce] any more, but {from} may go on: {error}"),
                }
            }
            return Ok(None);
        };
        let announcer = Announcer {
            speaker: announce.speaker.clone(),
            // Where no next hop is configured, it is the first one's address.
            interface: config.interfaces[0].clone(),
            state_dir: config.state_dir.clone(),
        };
        let (wanted, wishes) = watch::channel(None);
        let (tell, told) = watch::channel(SpeakerStatus::default());
        announce::spawn(announcer, wishes, tell)?;
        Ok(Some(Announcing {
            config: announce,
            wanted,
            told,
            services: BTreeMap::new(),
            decided: Arc::default(),
            inherited: inherited.map(|memory| memory.vips).unwrap_or_default(),
            served: BTreeSet::new(),
            stopping: false,
        }))
    }

    /// Takes in what became of services: the VIP and whether a backend is usable, or `None` of one that is gone.
    pub(super) fn follow(
        &mut self,
        services: impl IntoIterator<Item = (ServiceName, Option<(IpAddr, Usable)>)>,
    ) {
        for (name, usable) in services {
            match usable {
                Some(usable) => _ = self.services.insert(name, usable),
                None => _ = self.services.remove(&name),
            }
        }
    }

    /// Decides which VIPs are announced now, and tells the speaker's task.
    ///
    /// `vips`: those that packets are balanced for. While the maps are not what they should be, they hold at least what they held.
    pub(super) fn decide(&mut self, vips: Option<BTreeSet<IpAddr>>, attached: bool, drained: bool) {
        if let Some(vips) = vips {
            self.served = vips;
        }
        let announced = self.announced();
        let decided = reconcile::announcement(
            self.services.values().copied(),
            EdgeConditions {
                drained,
                attached,
                stopping: self.stopping,
                when_unhealthy: self.config.when_unhealthy,
                served: &self.served,
                announced: &announced,
            },
        );
        for (vip, said) in &decided {
            match (announced.contains(vip), said) {
                (false, Ok(())) => info!("{vip} is to be announced"),
                (true, Err(why)) => warn!("{vip} is to be withdrawn: {why}"),
                _ => {}
            }
        }
        self.decided = Arc::new(decided);
        self.inherited.clear();
        let wanted = Some(self.announced());
        self.wanted.send_if_modified(|old| {
            let differs = *old != wanted;
            *old = wanted;
            differs
        });
    }

    /// Whether the speaker is known to announce anything.
    pub(super) fn has_any(&self) -> bool {
        !self.told.borrow().announced.is_empty()
    }

    /// Has everything withdrawn from the next decision on, if the configuration wants that before a stop; whether it does.
    pub(super) fn stop(&mut self) -> bool {
        self.stopping = self.config.on_stop == OnStop::Withdraw;
        self.stopping
    }

    fn announced(&self) -> BTreeSet<IpAddr> {
        let decided = self.decided.iter();
        let announced = decided.filter_map(|(&vip, said)| said.is_ok().then_some(vip));
        announced.chain(self.inherited.iter().copied()).collect()
    }

    /// Waits until the speaker has confirmed that everything is withdrawn, and then, if there was anything,
    /// until packets under way have come.
    pub(super) async fn let_go(&mut self, had_any: bool) {
        if !announce::withdrawn(&mut self.told, CONFIRMATION).await {
            warn!("the speaker has not confirmed that the VIPs are withdrawn; going on without it");
        }
        if had_any {
            sleep(Duration::from_secs(self.config.stop_grace_seconds.into())).await;
        }
    }

    /// How announcing is going, now and later.
    pub(super) fn overview(&self) -> Announced {
        Announced {
            speaker: self.config.speaker.to_string(),
            decided: Arc::clone(&self.decided),
            told: self.told.clone(),
        }
    }
}

/// What was decided last, and what the speaker says of it.
#[derive(Clone)]
pub(super) struct Announced {
    speaker: String,
    decided: Arc<BTreeMap<IpAddr, Result<(), WithheldReason>>>,
    told: watch::Receiver<SpeakerStatus>,
}

impl Announced {
    pub(super) fn view(&self) -> AnnounceView {
        let told = self.told.borrow();
        let vip = |(&vip, said): (&IpAddr, &Result<(), WithheldReason>)| VipView {
            vip,
            announced: told.announced.contains(&vip),
            withheld: said.err().map(|why| why.to_string()),
        };
        AnnounceView {
            speaker: self.speaker.clone(),
            error: told.error.clone(),
            vips: self.decided.iter().map(vip).collect(),
        }
    }
}
