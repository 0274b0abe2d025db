//! Following the kernel: level-triggered, so that a missed event leaves nothing wrong for long. Neighbours and links are
//! looked at each second; routes, of which there may be one for each of thousands of backends, after an event that concerns
//! them, and a few each second in turn.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use balancer_core::{model::AddressMap, reconcile::NextHops};
use futures::{StreamExt, stream};
use rtnetlink::Handle;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    NextHopError, Sources,
    events::{Doubt, Events},
    grace::Grace,
    kernel,
    memory::Memory,
    neighbour::{self, Neighbour, Place},
    route,
    routes::Routes,
    survey::{MAX_CONCURRENT_QUESTIONS, Survey, Way, ask_each, differing_ways, next_hop},
};

/// Neighbours and links are looked at this often, events or not; no neighbour is asked for more often.
const EVERY: Duration = Duration::from_secs(1);

/// Changes come in bursts: after the first, wait this long for the others.
const COALESCE: Duration = Duration::from_millis(20);

/// One part in this many of the time goes into looking, however many changes come, unless a look takes so long that the next one would
/// wait for more than [`EVERY`].
const IDLE_SHARE: u32 = 8;

/// A look that takes longer than this, and this for each question, has lost an answer.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(2));

/// Keeps `found` equal to the next hops of the `wanted` addresses; an address without a next hop is not in it.
///
/// Publishes only changes. Looks at neighbours and links when any of them changes, when `wanted` changes, and every second;
/// at the routes of new addresses at once, of others when an event concerns them, and of [`SWEEP`](super::routes::SWEEP)
/// addresses in turn each second, so that a quiet second costs the same however many are wanted. Asks the kernel to
/// resolve neighbours that it does not know, and to confirm those it has not heard of lately. While the kernel cannot be
/// asked, `found` stays as it is. The task ends with `Ok` when `wanted` has no sender or `found` no receiver, with an error
/// when netlink sockets cannot be opened at all.
pub fn spawn(
    wanted: watch::Receiver<AddressMap<()>>,
    sources: Sources,
    found: watch::Sender<NextHops>,
) -> JoinHandle<Result<(), NextHopError>> {
    tokio::spawn(async move {
        let mut follower = Follower::open(sources)?;
        follower.run(wanted, found).await;
        Ok(())
    })
}

struct Follower {
    kernel: Handle,
    events: Events,
    sources: Sources,
    routes: Routes,
    /// The way over each neighbour at the last look.
    ways: BTreeMap<Place, Way>,
    memory: Memory,
    grace: Grace,
    /// When each neighbour was last asked for.
    asked: BTreeMap<Place, Instant>,
}

impl Follower {
    fn open(sources: Sources) -> Result<Self, NextHopError> {
        Ok(Self {
            kernel: kernel::connect()?,
            events: Events::open()?,
            sources,
            routes: Routes::default(),
            ways: BTreeMap::new(),
            memory: Memory::default(),
            grace: Grace::default(),
            asked: BTreeMap::new(),
        })
    }

    async fn run(
        &mut self,
        mut wanted: watch::Receiver<AddressMap<()>>,
        found: watch::Sender<NextHops>,
    ) {
        wanted.mark_changed();
        let mut swept = Instant::now();
        loop {
            let mut broken = false;
            let started = Instant::now();
            if wanted.has_changed().unwrap_or(false) {
                let wanted = wanted.borrow_and_update().clone();
                self.routes.want(wanted);
            }
            self.routes.doubt(&self.events.take());
            if started.duration_since(swept) >= EVERY {
                swept = started;
                self.routes.sweep();
            }
            match self.look_in_time().await {
                Ok(None) => {}
                Ok(Some(next_hops)) => {
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
                changed = wanted.changed() => match changed {
                    Ok(()) => wanted.mark_changed(),
                    Err(_) => return,
                },
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
                (cost * (IDLE_SHARE - 1)).clamp(COALESCE, EVERY)
            })
            .await;
        }
    }

    async fn look_in_time(&mut self) -> Result<Option<NextHops>, NextHopError> {
        let questions = self.routes.doubted().len() + self.routes.places().len();
        let patience = PATIENCE.0 + PATIENCE.1 * questions as u32;
        timeout(patience, self.look()).await.unwrap_or_else(|_| {
            Err(NextHopError::NoAnswer {
                what: "next hops",
                reason: format!("none within {patience:?}"),
            })
        })
    }

    /// The next hops of all wanted addresses; `None` if they are those of the last look.
    async fn look(&mut self) -> Result<Option<NextHops>, NextHopError> {
        let kernel = &self.kernel;
        let answers = ask_each(self.routes.doubted(), |address| {
            route::look_up(kernel, address)
        });
        let answers = answers.await?;
        self.routes.learn(answers);
        let survey = Survey::take(&self.kernel, self.routes.places()).await?;
        let now = Instant::now();
        self.memory.take_in(&survey.neighbours, now);
        self.ask(&survey.neighbours, now).await;
        let ways = survey.ways(&self.memory);
        if ways == self.ways && self.routes.changed().is_empty() && !self.grace.any() {
            self.grace.found_the_same(now);
            return Ok(None);
        }
        let differing = differing_ways(&self.ways, &ways).into_iter();
        let mut changed: BTreeSet<IpAddr> = differing
            .flat_map(|place| self.routes.behind(place))
            .collect();
        changed.extend(self.routes.changed());
        self.ways = ways;
        self.routes.settle();
        let routes = self.routes.known();
        let is_resolving = |address| {
            let route = routes.get(&address);
            route.is_some_and(|route| survey.is_resolving((route.interface, route.neighbour)))
        };
        let (ways, sources) = (&self.ways, self.sources);
        let found = changed
            .into_iter()
            .map(|address| (address, next_hop(address, routes, ways, sources)));
        Ok(Some(self.grace.add(found, is_resolving, now)))
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
            .buffer_unordered(MAX_CONCURRENT_QUESTIONS)
            .collect::<()>()
            .await;
    }

    /// New sockets in place of broken ones; when even that fails, the next round tries again.
    fn reopen(&mut self) {
        match (kernel::connect(), Events::open()) {
            (Ok(kernel), Ok(events)) => (self.kernel, self.events) = (kernel, events),
            (Err(error), _) | (_, Err(error)) => tracing::warn!("{error}"),
        }
        // What the former socket would have told is lost.
        self.routes.doubt(&Doubt {
            all: true,
            ..Doubt::default()
        });
    }
}

#[cfg(test)]
mod tests;
