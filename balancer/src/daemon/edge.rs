//! `lbd edge`: from a configuration to a running keeper with its ports and faces.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tracing::{info, warn};

use super::{
    Failure,
    keeper::{Attachment, Keeper, Sources, Wishes},
};
use crate::{
    api,
    config::EdgeConfig,
    dataplane::{Attached, EdgePlane, EdgeSettings, PinDir},
    health, metrics,
    model::HealthState,
    nexthop,
    state::{Change, State},
    store::Store,
};

/// How long the first look at routes and neighbours may take before the maps are written without it.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or SIGINT. The data plane goes on when it returns.
pub async fn run(file: &Path) -> Result<(), Failure> {
    let config = read(file)?;
    let interface = nexthop::interface(&config.interface).await?;
    if !config.allow_default_route_interface
        && nexthop::default_route_interfaces().await?.contains(&interface.index)
    {
        return Err(Failure::DefaultRoute { interface: config.interface });
    }
    let (store, state) = open_state(&config)?;
    let mut plane = EdgePlane::load(
        PinDir::new(&config.pin_dir),
        EdgeSettings { hash_key: state.hash_key, debug_packets: config.debug_packets },
    )?;

    let (targets, wanted_targets) = watch::channel(Vec::new());
    let (addresses, wanted_addresses) = watch::channel(BTreeSet::new());
    let (found, mut next_hops) = watch::channel(BTreeMap::new());
    let (reports_in, reports) = mpsc::channel(1_024);
    let (commands_in, commands) = mpsc::channel(1_024);
    let sources = nexthop::Sources { ipv4: config.source_ipv4, ipv6: config.source_ipv6 };
    nexthop::spawn(wanted_addresses, sources, found);
    health::spawn(wanted_targets, reports_in);

    let health = state
        .health
        .iter()
        .map(|(&id, &known)| (id, HealthState::from_known(known)))
        .collect();
    let present = interface.xdp;
    let mut keeper = Keeper {
        wishes: Wishes { targets, addresses },
        next_hops: BTreeMap::new(),
        health,
        failures: BTreeMap::new(),
        published: None,
        owners: BTreeMap::new(),
        retired: BTreeMap::new(),
        attachment: None,
        taken_over: false,
        detached: false,
        faults: BTreeMap::new(),
        started: Instant::now(),
        config,
        state,
        store,
        plane,
    };
    // The maps may serve packets already: they are written once the next hops are known, not before.
    keeper.wish();
    let all_found = async {
        let wanted = keeper.wishes.addresses.borrow().len();
        next_hops.wait_for(|found| found.len() >= wanted).await.map(|found| found.clone())
    };
    keeper.next_hops = match timeout(FIRST_LOOK, all_found).await {
        Ok(Ok(found)) => found,
        _ => next_hops.borrow_and_update().clone(),
    };
    Ok(())
}

fn read(file: &Path) -> Result<EdgeConfig, Failure> {
    let text = fs::read_to_string(file)
        .map_err(|source| Failure::Unreadable { path: file.to_owned(), source })?;
    Ok(EdgeConfig::parse(&text, &file.display().to_string())?)
}
