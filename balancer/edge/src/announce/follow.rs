//! The task that has the wanted VIPs announced, and no others of ours.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{
    AnnounceError, Announcer, SpeakerStatus,
    memory::{Memory, remember, remembered},
    speaker::{Speaker, limited, withdraw_remembered},
};

/// How often the speaker is looked at when nothing is asked for.
const POLL: Duration = Duration::from_millis(500);

/// Keeps what the speaker announces equal to what `wanted` holds, and tells over `status` how far it is.
///
/// Nothing is done while `wanted` is `None`: what is announced then stays. Ends when `wanted` has no sender;
/// what is announced stays then, too.
///
/// # Errors
///
/// When it cannot be read what an earlier daemon has announced.
pub fn spawn(
    announcer: Announcer,
    wanted: watch::Receiver<Option<BTreeSet<IpAddr>>>,
    status: watch::Sender<SpeakerStatus>,
) -> Result<(), AnnounceError> {
    let memory = remembered(&announcer.state_dir)?;
    tokio::spawn(async move {
        let memory = settle_with(memory, &announcer).await;
        let follower = Follower {
            speaker: Speaker::new(&announcer.speaker, &announcer.interface),
            announcer,
            memory,
            saved: false,
        };
        follower.run(wanted, status).await;
    });
    Ok(())
}

/// The memory for this speaker. What another one still announces for us is withdrawn there.
async fn settle_with(memory: Option<Memory>, announcer: &Announcer) -> Memory {
    let fresh = Memory {
        speaker: announcer.speaker.clone(),
        interface: announcer.interface.clone(),
        vips: BTreeSet::new(),
    };
    match memory {
        Some(memory) if same_place(&memory.speaker, &announcer.speaker) => Memory {
            vips: memory.vips,
            ..fresh
        },
        Some(memory) => {
            let former = &memory.speaker;
            match withdraw_remembered(&announcer.state_dir).await {
                Ok(vips) => info!(
                    "withdrew {} VIPs from the former speaker, {former}",
                    vips.len()
                ),
                Err(error) => {
                    warn!("the former speaker, {former}, may announce VIPs still: {error}")
                }
            }
            fresh
        }
        None => fresh,
    }
}

/// Whether paths or addresses of one are those of the other.
fn same_place(one: &balancer_core::model::Speaker, other: &balancer_core::model::Speaker) -> bool {
    use balancer_core::model::Speaker::{Gobgp, Local};
    match (one, other) {
        (Gobgp(one), Gobgp(other)) => one.address == other.address,
        (Local { link: one }, Local { link: other }) => one == other,
        _ => false,
    }
}

struct Follower {
    announcer: Announcer,
    speaker: Speaker,
    memory: Memory,
    /// Whether the file says what `memory` does.
    saved: bool,
}

impl Follower {
    async fn run(
        mut self,
        mut wanted: watch::Receiver<Option<BTreeSet<IpAddr>>>,
        status: watch::Sender<SpeakerStatus>,
    ) {
        loop {
            let now = wanted.borrow_and_update().clone();
            if let Some(now) = now {
                let mut announced = BTreeSet::new();
                let error = self.round(&now, &mut announced).await.err();
                let new = SpeakerStatus {
                    wanted: Some(now),
                    announced,
                    error: error.map(|error| error.to_string()),
                };
                status.send_if_modified(|old| {
                    log(old, &new);
                    let differs = *old != new;
                    *old = new;
                    differs
                });
            }
            if let Ok(Err(_)) = timeout(POLL, wanted.changed()).await {
                return;
            }
        }
    }

    /// Looks at the speaker and changes what is not as wanted. `announced` is what is known afterwards,
    /// also after an error.
    async fn round(
        &mut self,
        wanted: &BTreeSet<IpAddr>,
        announced: &mut BTreeSet<IpAddr>,
    ) -> Result<(), AnnounceError> {
        let place = self.announcer.speaker.clone();
        limited(&place, self.unlimited(wanted, announced)).await
    }

    async fn unlimited(
        &mut self,
        wanted: &BTreeSet<IpAddr>,
        announced: &mut BTreeSet<IpAddr>,
    ) -> Result<(), AnnounceError> {
        let asked: BTreeSet<IpAddr> = wanted.union(&self.memory.vips).copied().collect();
        let mut found = self.speaker.look(&asked).await?;
        let todo = self.speaker.todo(wanted, &self.memory.vips, &found);
        announced.extend(found.keys());
        for &vip in &todo.withdraw {
            self.speaker.withdraw(vip).await?;
        }
        if !todo.withdraw.is_empty() {
            // Withdrawn is what is seen to be gone.
            found = self.speaker.look(&asked).await?;
            announced.retain(|vip| found.contains_key(vip));
        }
        let wished = wanted.difference(&todo.foreign);
        let left = self
            .memory
            .vips
            .iter()
            .filter(|vip| found.contains_key(vip));
        let ours = wished.chain(left).copied().collect();
        self.remember(ours)?;
        for &vip in &todo.announce {
            self.speaker.announce(vip).await?;
            announced.insert(vip);
        }
        let unwanted = announced.iter().any(|vip| todo.withdraw.contains(vip));
        if unwanted {
            return Err(AnnounceError::NotWithdrawn {
                speaker: self.announcer.speaker.to_string(),
            });
        }
        self.speaker.complain(&todo)
    }

    fn remember(&mut self, vips: BTreeSet<IpAddr>) -> Result<(), AnnounceError> {
        if self.saved && vips == self.memory.vips {
            return Ok(());
        }
        // In memory only once it is in the file: what fails is tried again.
        let new = Memory {
            vips,
            ..self.memory.clone()
        };
        remember(&self.announcer.state_dir, &new)?;
        self.memory = new;
        self.saved = true;
        Ok(())
    }
}

fn log(old: &SpeakerStatus, new: &SpeakerStatus) {
    for vip in new.announced.difference(&old.announced) {
        info!("{vip} is announced");
    }
    for vip in old.announced.difference(&new.announced) {
        info!("{vip} is withdrawn");
    }
    if new.error != old.error {
        match &new.error {
            Some(error) => warn!("VIPs are not announced as wanted, and tried again: {error}"),
            None => info!("VIPs are announced as wanted again"),
        }
    }
}

/// Waits until `status` says that all is withdrawn, or `limit` has passed; whether it did.
pub async fn withdrawn(status: &mut watch::Receiver<SpeakerStatus>, limit: Duration) -> bool {
    tokio::select! {
        status = status.wait_for(SpeakerStatus::all_withdrawn) => status.is_ok(),
        () = sleep(limit) => false,
    }
}
