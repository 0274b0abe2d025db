//! What the keeper has announced, and how it withdraws before it lets go.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use tokio::{sync::watch, time::sleep};
use tracing::{info, warn};

use super::control::Keeper;
use crate::{
    announce::{self, Announcer, Told},
    api::views::{AnnounceView, VipView},
    config::{AnnounceConfig, EdgeConfig},
    daemon::Failure,
    model::OnStop,
    reconcile::{self, Circumstances, Withheld},
};

/// How long a speaker may take to confirm a withdrawal; then things go on without it.
const CONFIRMATION: Duration = Duration::from_secs(4);

/// The way to the speaker, and what it was asked for.
pub(super) struct Announcing {
    config: AnnounceConfig,
    wanted: watch::Sender<Option<BTreeSet<IpAddr>>>,
    told: watch::Receiver<Told>,
    /// Every VIP: announced, or why not, as decided last.
    decided: BTreeMap<IpAddr, Result<(), Withheld>>,
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
        let (tell, told) = watch::channel(Told::default());
        announce::spawn(announcer, wishes, tell)?;
        Ok(Some(Announcing {
            config: announce,
            wanted,
            told,
            decided: BTreeMap::new(),
            inherited: inherited.map(|memory| memory.vips).unwrap_or_default(),
            served: BTreeSet::new(),
            stopping: false,
        }))
    }

    fn announced(&self) -> BTreeSet<IpAddr> {
        let decided = self.decided.iter();
        let announced = decided.filter_map(|(&vip, said)| said.is_ok().then_some(vip));
        announced.chain(self.inherited.iter().copied()).collect()
    }

    /// Waits until the speaker has confirmed that everything is withdrawn, and then, if there was anything,
    /// until packets under way have come.
    async fn let_go(&mut self, had_any: bool) {
        if !announce::withdrawn(&mut self.told, CONFIRMATION).await {
            warn!("the speaker has not confirmed that the VIPs are withdrawn; going on without it");
        }
        if had_any {
            sleep(Duration::from_secs(self.config.stop_grace_seconds.into())).await;
        }
    }

    fn view(&self) -> AnnounceView {
        let told = self.told.borrow();
        let vip = |(&vip, said): (&IpAddr, &Result<(), Withheld>)| VipView {
            vip,
            announced: told.announced.contains(&vip),
            withheld: said.err().map(|why| why.to_string()),
        };
        AnnounceView {
            speaker: self.config.speaker.to_string(),
            error: told.error.clone(),
            vips: self.decided.iter().map(vip).collect(),
        }
    }
}

impl Keeper {
    /// Decides which VIPs are announced now, and tells the speaker's task.
    pub(super) fn announce(&mut self) {
        let Some(mut announcing) = self.announcing.take() else {
            return;
        };
        // While the maps are not what they should be, they hold at least what they held.
        if let Some(plan) = &self.published {
            announcing.served = plan.services.keys().map(|key| key.vip).collect();
        }
        let announced = announcing.announced();
        let decided = reconcile::announcement(
            &self.state,
            &|id| self.known(id),
            &|id| self.trusted(id),
            &self.next_hops,
            Circumstances {
                attached: self.is_attached() && !self.detached,
                stopping: announcing.stopping,
                when_unhealthy: announcing.config.when_unhealthy,
                served: &announcing.served,
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
        announcing.decided = decided;
        announcing.inherited.clear();
        let wanted = Some(announcing.announced());
        announcing.wanted.send_if_modified(|old| {
            let differs = *old != wanted;
            *old = wanted;
            differs
        });
        self.announcing = Some(announcing);
    }

    /// Withdraws what is announced before the program goes, or the daemon.
    pub(super) async fn withdraw(&mut self) {
        // Before anything is asked for: the answer may be there at once.
        let had_any = self
            .announcing
            .as_ref()
            .is_some_and(|announcing| !announcing.told.borrow().announced.is_empty());
        self.announce();
        if let Some(announcing) = &mut self.announcing {
            announcing.let_go(had_any).await;
        }
    }

    /// Withdraws before the daemon stops, if it is to.
    pub(super) async fn withdraw_to_stop(&mut self) {
        match &mut self.announcing {
            Some(announcing) if announcing.config.on_stop == OnStop::Withdraw => {
                announcing.stopping = true;
            }
            _ => return,
        }
        self.withdraw().await;
    }

    /// How announcing is going; `None` if nobody is told.
    pub(super) fn announce_view(&self) -> Option<AnnounceView> {
        self.announcing.as_ref().map(Announcing::view)
    }
}
