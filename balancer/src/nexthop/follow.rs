//! Following the kernel: level-triggered, so that a missed event leaves nothing wrong for longer than a second.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use rtnetlink::Handle;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    NextHop, NextHopError, Sources,
    events::Events,
    kernel,
    memory::Memory,
    neighbour::{self, Neighbour, Place},
    standin::StandIns,
    survey::{AT_ONCE, Survey},
};

/// Everything is looked at this often, events or not; no neighbour is asked for more often.
const EVERY: Duration = Duration::from_secs(1);

/// Changes come in bursts: after the first, wait this long for the others.
const COALESCE: Duration = Duration::from_millis(20);

/// At most one part in this many of the time goes into looking, however many changes come.
const IDLE_SHARE: u32 = 4;

/// A look that takes longer than this, and this for each address, has lost an answer.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(2));

/// Keeps `found` equal to the next hops of the `wanted` addresses; an address without a next hop is not in it.
///
/// Publishes only changes. Looks at routes, neighbours and links when any of them changes, when `wanted` changes, and
/// every second; asks the kernel to resolve neighbours that it does not know, and to confirm those it has not heard of
/// lately. While the kernel cannot be asked, `found` stays as it is. The task ends with `Ok` when `wanted` has no
/// sender or `found` no receiver, with an error when netlink sockets cannot be opened at all.
pub fn spawn(
    wanted: watch::Receiver<BTreeSet<IpAddr>>,
    sources: Sources,
    found: watch::Sender<BTreeMap<IpAddr, NextHop>>,
) -> JoinHandle<Result<(), NextHopError>> {
    tokio::spawn(async move {
        let mut follower = Follower {
            kernel: kernel::connect()?,
            events: Events::open()?,
            asked: BTreeMap::new(),
            memory: Memory::default(),
            stand_ins: StandIns::default(),
        };
        follower.run(wanted, sources, found).await;
        Ok(())
    })
}

struct Follower {
    kernel: Handle,
    events: Events,
    memory: Memory,
    stand_ins: StandIns,
    /// When each neighbour was last asked for.
    asked: BTreeMap<Place, Instant>,
}

impl Follower {
    async fn run(
        &mut self,
        mut wanted: watch::Receiver<BTreeSet<IpAddr>>,
        sources: Sources,
        found: watch::Sender<BTreeMap<IpAddr, NextHop>>,
    ) {
        loop {
            let mut broken = false;
            let started = Instant::now();
            let addresses = wanted.borrow_and_update().clone();
            let patience = PATIENCE.0 + PATIENCE.1 * addresses.len() as u32;
            let outcome = timeout(patience, self.look(&addresses, sources)).await;
            let outcome = outcome.unwrap_or_else(|_| {
                Err(NextHopError::NoAnswer {
                    what: "next hops",
                    reason: format!("none within {patience:?}"),
                })
            });
            match outcome {
                Ok(next_hops) => {
                    found.send_if_modified(|known| {
                        let changed = *known != next_hops;
                        *known = next_hops;
                        changed
                    });
                }
                Err(error) => {
                    tracing::warn!("{error}; next hops stay as they were, trying again");
                    self.reopen();
                    broken = true;
                }
            }
            let cost = started.elapsed();
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                () = found.closed() => return,
                event = self.events.next() => if let Err(error) = event {
                    tracing::warn!("{error}; opening a new socket");
                    self.reopen();
                    broken = true;
                },
                () = sleep(EVERY.saturating_sub(cost)) => (),
            }
            sleep(if broken {
                EVERY
            } else {
                COALESCE.max(cost * (IDLE_SHARE - 1))
            })
            .await;
            self.events.forget();
        }
    }

    async fn look(
        &mut self,
        addresses: &BTreeSet<IpAddr>,
        sources: Sources,
    ) -> Result<BTreeMap<IpAddr, NextHop>, NextHopError> {
        let survey = Survey::take(&self.kernel, addresses).await?;
        let now = Instant::now();
        self.memory.take_in(&survey.neighbours, now);
        self.ask(&survey.neighbours, now).await;
        let mut next_hops = survey.next_hops(&self.memory, sources);
        let resolved = |address| survey.is_resolving(address);
        self.stand_ins.add(&mut next_hops, resolved, now);
        Ok(next_hops)
    }

    /// Has the kernel resolve what it does not know and confirm what it has not heard of lately.
    async fn ask(&mut self, neighbours: &BTreeMap<Place, Neighbour>, now: Instant) {
        // By time alone: an entry that fails at once comes back here with every event of its own making.
        self.asked.retain(|_, at| now.duration_since(*at) < EVERY);
        let needy = neighbours
            .iter()
            .filter(|(_, neighbour)| neighbour.needs_asking());
        let due = needy
            .map(|(&place, _)| place)
            .filter(|place| !self.asked.contains_key(place));
        let due: Vec<Place> = due.collect();
        self.asked.extend(due.iter().map(|&place| (place, now)));
        let kernel = &self.kernel;
        let asking = due.into_iter().map(|place| async move {
            // The interface may just have gone; the next look knows.
            if let Err(error) = neighbour::ask(kernel, place).await {
                tracing::debug!("{error}");
            }
        });
        let asking: Vec<_> = asking.collect();
        stream::iter(asking)
            .buffer_unordered(AT_ONCE)
            .collect::<()>()
            .await;
    }

    /// New sockets in place of broken ones; when even that fails, the next round tries again.
    fn reopen(&mut self) {
        match (kernel::connect(), Events::open()) {
            (Ok(kernel), Ok(events)) => (self.kernel, self.events) = (kernel, events),
            (Err(error), _) | (_, Err(error)) => tracing::warn!("{error}"),
        }
    }
}
