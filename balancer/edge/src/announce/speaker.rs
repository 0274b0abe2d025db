//! One way to use every speaker: look, announce, withdraw; and what is to be done after a look.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::Path,
    time::Duration,
};

use balancer_core::model;
use tokio::time::timeout;

use super::{AnnounceError, gobgp::Gobgp, local, memory};

/// How long one round with a speaker may take.
const LIMIT: Duration = Duration::from_secs(2);

/// A speaker that can be asked.
pub(super) enum Speaker {
    Gobgp(Box<Gobgp>),
    Local { link: String },
}

/// The VIPs that a speaker announces, and whether just as they should be.
pub(super) type Found = BTreeMap<IpAddr, bool>;

/// What makes a wanted set so.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Todo {
    pub(super) announce: BTreeSet<IpAddr>,
    pub(super) withdraw: BTreeSet<IpAddr>,
    /// Announced as wanted, but somebody else's, whom we do not meddle with.
    pub(super) foreign: BTreeSet<IpAddr>,
}

impl Speaker {
    pub(super) fn new(config: &model::Speaker, interface: &str) -> Self {
        match config {
            model::Speaker::Gobgp(config) => Self::Gobgp(Box::new(Gobgp::new(config, interface))),
            model::Speaker::Local { link } => Self::Local { link: link.clone() },
        }
    }

    /// Which of these VIPs are announced.
    pub(super) async fn look(&self, vips: &BTreeSet<IpAddr>) -> Result<Found, AnnounceError> {
        match self {
            Self::Gobgp(gobgp) => gobgp.look(vips).await,
            Self::Local { link } => {
                let found = local::look(link, vips).await?;
                Ok(found.into_iter().map(|vip| (vip, true)).collect())
            }
        }
    }

    pub(super) async fn announce(&self, vip: IpAddr) -> Result<(), AnnounceError> {
        match self {
            Self::Gobgp(gobgp) => gobgp.add(vip).await,
            Self::Local { link } => local::add(link, vip).await,
        }
    }

    pub(super) async fn withdraw(&self, vip: IpAddr) -> Result<(), AnnounceError> {
        match self {
            Self::Gobgp(gobgp) => gobgp.remove(vip).await,
            Self::Local { link } => local::remove(link, vip).await,
        }
    }

    /// What is to be done to have `wanted` announced and nothing else of `ours`.
    pub(super) fn todo(
        &self,
        wanted: &BTreeSet<IpAddr>,
        ours: &BTreeSet<IpAddr>,
        found: &Found,
    ) -> Todo {
        let mut todo = Todo::default();
        for &vip in wanted {
            // A path for our own host is a matter of one daemon; an address may be anybody's.
            let foreign = matches!(self, Self::Local { .. }) && !ours.contains(&vip);
            match found.get(&vip) {
                Some(_) if foreign => drop(todo.foreign.insert(vip)),
                Some(true) => {}
                Some(false) | None => drop(todo.announce.insert(vip)),
            }
        }
        let unwanted = found
            .keys()
            .filter(|vip| ours.contains(vip) && !wanted.contains(vip));
        todo.withdraw.extend(unwanted);
        todo
    }

    /// `Foreign` if there are any.
    pub(super) fn complain(&self, todo: &Todo) -> Result<(), AnnounceError> {
        let Self::Local { link } = self else {
            return Ok(());
        };
        let vips: Vec<String> = todo.foreign.iter().map(IpAddr::to_string).collect();
        match vips.as_slice() {
            [] => Ok(()),
            [one] => Err(AnnounceError::Foreign {
                vips: format!("{one} is on"),
                link: link.clone(),
            }),
            several => Err(AnnounceError::Foreign {
                vips: format!("{} are on", several.join(", ")),
                link: link.clone(),
            }),
        }
    }
}

/// The same, or an error after [`LIMIT`].
pub(super) async fn limited<T>(
    speaker: &model::Speaker,
    round: impl Future<Output = Result<T, AnnounceError>>,
) -> Result<T, AnnounceError> {
    timeout(LIMIT, round).await.unwrap_or_else(|_| {
        Err(AnnounceError::Slow {
            speaker: speaker.to_string(),
            seconds: LIMIT.as_secs(),
        })
    })
}

/// Withdraws all that the file in this directory says was announced; gives what that was.
///
/// For when no daemon runs. The file stays as it is: whoever starts next looks for himself.
///
/// # Errors
///
/// When the file cannot be read, or the speaker does not confirm.
pub async fn withdraw_remembered(state_dir: &Path) -> Result<BTreeSet<IpAddr>, AnnounceError> {
    let Some(memory) = memory::remembered(state_dir)? else {
        return Ok(BTreeSet::new());
    };
    let speaker = Speaker::new(&memory.speaker, &memory.interface);
    limited(&memory.speaker, async {
        let found = speaker.look(&memory.vips).await?;
        for &vip in found.keys() {
            speaker.withdraw(vip).await?;
        }
        if !speaker.look(&memory.vips).await?.is_empty() {
            return Err(AnnounceError::NotWithdrawn {
                speaker: memory.speaker.to_string(),
            });
        }
        Ok(found.into_keys().collect())
    })
    .await
}
