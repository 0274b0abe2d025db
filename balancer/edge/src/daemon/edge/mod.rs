//! `lbd edge`: from a configuration to a running control loop with its ports and faces.

mod announcing;
mod attachments;
mod control;
mod drains;
mod local;
mod lookers;
mod monitor;
mod overview;
mod pace;
mod publication;
mod records;
mod rows;

use std::{
    fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use balancer_api::{
    command::Daemon,
    drain_status::DrainStatus,
    server, socket,
    token::{Token, configured},
};
use balancer_config::EdgeConfig;
use balancer_core::{model::AddressMap, reconcile::NextHops};
use balancer_host::{clock::unix_ms, health, signals::terminated, state_dir};
use sd_notify::NotifyState;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

pub(in crate::daemon) use self::overview::reason_count;
use self::{
    announcing::Announcing,
    attachments::Attachments,
    control::{ControlLoop, Inputs, Outputs, Watched},
    drains::watch_drains,
    overview::{show, snapshots},
    records::Records,
};
use super::Failure;
use crate::{
    announce,
    dataplane::{EdgePlane, EdgeProgram, EdgeSettings, Interface, PinDir, check_kernel},
    metrics,
    nexthop::{self, Interfaces},
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
    let (mut records, state) = Records::open(&config)?;
    let pins = PinDir::new(&config.pin_dir);
    EdgeProgram::refuse_other(&pins, &interfaces)?;
    pins.create()?;
    let _lock = pins.lock()?;
    let plane = EdgePlane::load(
        pins.clone(),
        EdgeSettings {
            hash_key: state.hash_key,
            debug_packets: config.debug_packets,
        },
    )?;

    let (targets, wanted_targets) = watch::channel(Arc::default());
    let (addresses, wanted_addresses) = watch::channel(AddressMap::default());
    let (found, mut next_hops) = watch::channel(NextHops::default());
    let (reports_in, reports) = mpsc::channel(1_024);
    let (commands_in, commands) = mpsc::channel(1_024);
    let (looks_in, looks) = mpsc::channel(1_024);
    let (overview, seen) = watch::channel(Arc::default());
    let drain_status = watch::Sender::new(DrainStatus::new(state.clone(), unix_ms(), false));
    let sources = nexthop::Sources {
        ipv4: config.source_ipv4,
        ipv6: config.source_ipv6,
    };
    nexthop::spawn(wanted_addresses, sources, found);
    if let Err(error) = health::raise_limit() {
        warn!("the limit of open files stays as it is: {error}");
    }
    health::spawn(wanted_targets, reports_in);

    // All that can be refused is asked for before anything is published.
    let counters = plane.counters();
    let mut sockets = Sockets::open(&config).await?;
    let announcing = Announcing::start(&config).await?;
    records.begin()?;
    let mut control = ControlLoop::new(
        state,
        records,
        plane,
        pins.clone(),
        Attachments::new(&interfaces, config.xdp_mode),
        Outputs {
            watched: Watched { targets, addresses },
            overview,
            drain_status: drain_status.clone(),
        },
    );
    // The maps may serve packets already: they are written once the next hops are known, not before.
    let found = first_look(control.addresses(), &mut next_hops).await;
    control.begin(found);
    let (attachments, program) = control.attachments();
    if let Err(error) = attachments.attach(program, &interfaces) {
        clear_away(&pins);
        let _ = fs::remove_file(&config.api_socket);
        return Err(error.into());
    }
    let on = attachments.names();

    let (stop, stopped) = watch::channel(());
    let daemon = Daemon {
        commands: commands_in,
        looks: looks_in,
    };
    let take = snapshots(seen, counters, Instant::now());
    let scraping = scrape(sockets.metrics.take(), daemon.clone(), stopped.clone())?;
    let showing = show(looks, drain_status.clone(), take);
    lookers::spawn(move || async move {
        tokio::join!(showing, scraping());
    })?;
    tokio::spawn(watch_drains(
        drain_status,
        daemon.commands.clone(),
        sockets.agent_token.clone(),
        stopped.clone(),
    ));
    sockets.serve(daemon, &stopped);
    let socket = config.api_socket;
    info!("balancing on {on}; lbctl: {}", socket.display());
    let _alive = state_dir::show_alive(&config.state_dir)?;
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let inputs = Inputs {
        commands,
        reports,
        next_hops,
    };
    control.run(inputs, announcing, terminated()?).await;
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    drop(stop);
    let _ = fs::remove_file(&socket);
    info!("stopped; the program on {on} goes on balancing (`lbd detach` takes it off)");
    Ok(())
}

/// Removes what a start that failed has pinned, unless an earlier daemon's program is live on it.
fn clear_away(pins: &PinDir) {
    if let Err(error) = EdgeProgram::clear_unless_attached(pins) {
        warn!("what was pinned stays: {error}");
    }
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
                server::bind_tcp(listen.address).await?,
                configured(listen.token_file.as_deref())?,
            )),
            None => None,
        };
        Ok(Self {
            api_tcp,
            agent_token: configured(config.agent_token_file.as_deref())?,
            api: socket::bind(&config.api_socket)?,
            metrics,
        })
    }

    /// Serves the API until `stopped` has no sender.
    fn serve(self, daemon: Daemon, stopped: &watch::Receiver<()>) {
        if let Some((listener, token)) = self.api_tcp {
            let (daemon, over) = (daemon.clone(), until_stopped(stopped.clone()));
            tokio::spawn(async move {
                let served = server::serve_tcp(listener, daemon, token, over).await;
                log_end_of("the API over TCP", served);
            });
        }
        let over = until_stopped(stopped.clone());
        tokio::spawn(
            async move { log_end_of("the API", server::serve(self.api, daemon, over).await) },
        );
    }
}

/// What serves `/metrics` until `stopped` has no sender, on whatever runtime it is called.
fn scrape(
    listener: Option<TcpListener>,
    daemon: Daemon,
    stopped: watch::Receiver<()>,
) -> io::Result<impl AsyncFnOnce() + Send> {
    let listener = listener.map(TcpListener::into_std).transpose()?;
    Ok(async move || {
        if let Some(listener) = listener {
            let served = match TcpListener::from_std(listener) {
                Ok(listener) => metrics::serve(listener, daemon, until_stopped(stopped)).await,
                Err(error) => Err(error),
            };
            log_end_of("/metrics", served);
        }
    })
}

/// Ready when `stopped` has no sender.
async fn until_stopped(mut stopped: watch::Receiver<()>) {
    let _ = stopped.changed().await;
}

/// Logs why a face no longer serves, if it failed.
fn log_end_of(face: &str, served: io::Result<()>) {
    if let Err(error) = served {
        error!("{face} is gone until lbd starts again: {error}");
    }
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
    Ok(EdgeProgram::detach(&pins)?)
}

/// The next hops of so many backends, or of those that were found in time.
async fn first_look(wanted: usize, next_hops: &mut watch::Receiver<NextHops>) -> NextHops {
    // On time-out what there is will do: the rest comes as it is found.
    let _ = timeout(
        FIRST_LOOK,
        next_hops.wait_for(|found| found.len() >= wanted),
    )
    .await;
    next_hops.borrow_and_update().clone()
}

pub(in crate::daemon) fn read(file: &Path) -> Result<EdgeConfig, Failure> {
    let text = fs::read_to_string(file).map_err(|source| Failure::Unreadable {
        path: file.to_owned(),
        source,
    })?;
    Ok(EdgeConfig::parse(&text, &file.display().to_string())?)
}
