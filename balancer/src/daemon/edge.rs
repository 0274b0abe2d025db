//! `lbd edge`: from a configuration to a running keeper with its ports and faces.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
    path::Path,
    time::{Duration, Instant},
};

use sd_notify::NotifyState;
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use super::{
    Failure,
    announcer::Announcing,
    attachment::Attachment,
    keeper::{Keeper, Sources, Wishes, unix_ms},
    operations::watch_drains,
};
use crate::{
    announce,
    api::{self, command::Command, token::Token},
    config::EdgeConfig,
    dataplane::{EdgePlane, EdgeSettings, Interface, PinDir, check_kernel},
    health, metrics,
    model::HealthState,
    nexthop::{self, Interfaces},
    reconcile::{NextHop, Plan, Warming},
    state::{Change, State},
    state_dir::{self, StateDir},
    store::Store,
};

/// How long the first look at routes and neighbours may take before the maps are written without it.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or SIGINT. The data plane goes on when it returns.
pub async fn run(file: &Path) -> Result<(), Failure> {
    let config = read(file)?;
    if let Some(doubt) = config.doubt() {
        warn!("{doubt}");
    }
    check_kernel()?;
    let interfaces = interfaces(&config).await?;
    let (store, state) = open_state(&config)?;
    let pins = PinDir::new(&config.pin_dir);
    EdgePlane::refuse_other(&pins, &interfaces)?;
    pins.create()?;
    let _lock = pins.lock()?;
    let plane = EdgePlane::load(
        pins,
        EdgeSettings {
            hash_key: state.hash_key,
            debug_packets: config.debug_packets,
        },
    )?;

    let (targets, wanted_targets) = watch::channel(Vec::new());
    let (addresses, wanted_addresses) = watch::channel(BTreeSet::new());
    let (found, mut next_hops) = watch::channel(BTreeMap::new());
    let (reports_in, reports) = mpsc::channel(1_024);
    let (commands_in, commands) = mpsc::channel(1_024);
    let sources = nexthop::Sources {
        ipv4: config.source_ipv4,
        ipv6: config.source_ipv6,
    };
    nexthop::spawn(wanted_addresses, sources, found);
    health::spawn(wanted_targets, reports_in);

    let health = state
        .health
        .iter()
        .map(|(&id, &known)| (id, HealthState::from_known(known)))
        .collect();
    let mut keeper = Keeper {
        wishes: Wishes { targets, addresses },
        next_hops: BTreeMap::new(),
        health,
        warming: Warming::default(),
        failures: BTreeMap::new(),
        published: None,
        met: Plan::default(),
        owners: BTreeMap::new(),
        retired: BTreeMap::new(),
        announcing: None,
        attachments: interfaces.iter().map(Attachment::new).collect(),
        taken_over: false,
        detached: false,
        faults: BTreeMap::new(),
        started: Instant::now(),
        board: watch::Sender::default(),
        config,
        state,
        store,
        plane,
    };
    // All that can be refused is asked for before anything is published.
    let sockets = Sockets::open(&keeper.config).await?;
    let announcing = Announcing::start(&keeper.config).await?;
    keeper.store.save(&keeper.state)?;
    // The maps may serve packets already: they are written once the next hops are known, not before.
    keeper.wish();
    keeper.next_hops = first_look(&keeper, &mut next_hops).await;
    keeper.remember();
    keeper.publish();
    keeper.post();
    if let Err(error) = keeper.attach(&interfaces) {
        keeper.clear_away();
        let _ = fs::remove_file(&keeper.config.api_socket);
        return Err(error.into());
    }

    // Not before: what an earlier daemon announced stays until this one is in its place.
    keeper.announcing = announcing;
    let (stop, stopped) = watch::channel(());
    tokio::spawn(watch_drains(
        keeper.board.clone(),
        commands_in.clone(),
        sockets.agent_token.clone(),
        stopped.clone(),
    ));
    sockets.serve(commands_in, &stopped);
    let (on, socket) = (keeper.interfaces(), keeper.config.api_socket.clone());
    info!("balancing on {on}; lbctl: {}", socket.display());
    let _alive = state_dir::show_alive(&keeper.config.state_dir)?;
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    keeper
        .run(
            Sources {
                commands,
                reports,
                next_hops,
            },
            terminated()?,
        )
        .await;
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    drop(stop);
    let _ = fs::remove_file(&socket);
    info!("stopped; the program on {on} goes on balancing (`lbd detach` takes it off)");
    Ok(())
}

/// The interfaces as they are, unless one must not be used.
async fn interfaces(config: &EdgeConfig) -> Result<Vec<Interface>, Failure> {
    let (all, mut interfaces) = (Interfaces::look().await?, Vec::new());
    for name in &config.interfaces {
        interfaces.push(Interface::from(&all.named(name)?));
    }
    if config.allow_default_route_interface {
        return Ok(interfaces);
    }
    let forbidden = nexthop::default_route_interfaces().await?;
    match (interfaces.iter()).find(|interface| forbidden.contains(&interface.index)) {
        None => Ok(interfaces),
        Some(interface) => Err(Failure::DefaultRoute {
            interface: interface.name.clone(),
        }),
    }
}

/// Where the faces are found.
struct Sockets {
    api: UnixListener,
    api_tcp: Option<(TcpListener, Option<Token>)>,
    metrics: Option<TcpListener>,
    /// What agents are shown.
    agent_token: Option<Token>,
}

impl Sockets {
    async fn open(config: &EdgeConfig) -> io::Result<Self> {
        if let Some(directory) = config.api_socket.parent() {
            fs::create_dir_all(directory)?;
        }
        let metrics = match config.metrics_listen {
            Some(listen) => Some(metrics::bind(listen).await?),
            None => None,
        };
        let api_tcp = match &config.api_listen {
            Some(listen) => Some((
                api::server::bind_tcp(listen.address).await?,
                token(listen.token_file.as_deref())?,
            )),
            None => None,
        };
        Ok(Self {
            api_tcp,
            agent_token: token(config.agent_token_file.as_deref())?,
            api: api::socket::bind(&config.api_socket)?,
            metrics,
        })
    }

    /// Serves until `stopped` has no sender.
    fn serve(self, commands: mpsc::Sender<Command>, stopped: &watch::Receiver<()>) {
        let over = |mut stopped: watch::Receiver<()>| async move { drop(stopped.changed().await) };
        let said = |face: &'static str, result: io::Result<()>| {
            if let Err(error) = result {
                error!("{face} is gone until lbd starts again: {error}");
            }
        };
        if let Some(metrics) = self.metrics {
            let (commands, over) = (commands.clone(), over(stopped.clone()));
            tokio::spawn(
                async move { said("/metrics", metrics::serve(metrics, commands, over).await) },
            );
        }
        if let Some((listener, token)) = self.api_tcp {
            let (commands, over) = (commands.clone(), over(stopped.clone()));
            tokio::spawn(async move {
                let served = api::server::serve_tcp(listener, commands, token, over).await;
                said("the API over TCP", served);
            });
        }
        let over = over(stopped.clone());
        tokio::spawn(async move {
            said(
                "the API",
                api::server::serve(self.api, commands, over).await,
            )
        });
    }
}

/// The token in a file, if there is to be one.
pub(super) fn token(file: Option<&Path>) -> io::Result<Option<Token>> {
    let Some(file) = file else { return Ok(None) };
    let (token, warning) = Token::read(file)?;
    if let Some(warning) = warning {
        warn!("{warning}");
    }
    Ok(Some(token))
}

/// Takes the program off every interface and removes its pins, when no daemon runs.
pub async fn detach(file: &Path) -> Result<bool, Failure> {
    let config = read(file)?;
    let pins = PinDir::new(&config.pin_dir);
    if !pins.exists() {
        return Ok(false);
    }
    // Held meanwhile, so that no daemon starts in between.
    let _lock = pins.lock()?;
    match announce::withdraw_remembered(&config.state_dir).await {
        Ok(vips) if vips.is_empty() => {}
        Ok(_) => {
            let grace = config.announce.map(|announce| announce.stop_grace_seconds);
            sleep(Duration::from_secs(grace.unwrap_or_default().into())).await;
        }
        // Whoever takes the program off by hand has a reason.
        Err(error) => warn!("VIPs may still be announced: {error}"),
    }
    Ok(EdgePlane::detach(&pins)?)
}

/// The saved state, with the configuration's services if these are new or have changed since they
/// were last read; `lbctl`'s changes stay otherwise. Not saved yet: the start may still be refused.
fn open_state(config: &EdgeConfig) -> Result<(Store<State>, State), Failure> {
    let (store, saved) = Store::open(&StateDir::open(&config.state_dir)?)?;
    if let Some(warning) = store.warning() {
        warn!("{warning}");
    }
    let mut state = saved.unwrap_or_else(|| State::new(fastrand::u64(..)));
    if let Some(hash_key) = config.hash_key {
        state.hash_key = hash_key;
    }
    if config.services_digest.is_some() && state.config_digest != config.services_digest {
        let apply = Change::Apply {
            services: config.services.clone(),
            force: true,
        };
        let (applied, outcome) = state.change(&apply, unix_ms())?;
        for note in outcome.notes {
            info!("{note}");
        }
        state = applied;
        state.config_digest.clone_from(&config.services_digest);
    }
    Ok((store, state))
}

/// The next hops of all backends, or of those that were found in time.
async fn first_look(
    keeper: &Keeper,
    next_hops: &mut watch::Receiver<BTreeMap<IpAddr, NextHop>>,
) -> BTreeMap<IpAddr, NextHop> {
    let wanted = keeper.wishes.addresses.borrow().len();
    // On time-out what there is will do: the rest comes as it is found.
    let _ = timeout(
        FIRST_LOOK,
        next_hops.wait_for(|found| found.len() >= wanted),
    )
    .await;
    next_hops.borrow_and_update().clone()
}

/// Ready on SIGTERM or SIGINT.
pub(super) fn terminated() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

pub(super) fn read(file: &Path) -> Result<EdgeConfig, Failure> {
    let text = fs::read_to_string(file).map_err(|source| Failure::Unreadable {
        path: file.to_owned(),
        source,
    })?;
    Ok(EdgeConfig::parse(&text, &file.display().to_string())?)
}
