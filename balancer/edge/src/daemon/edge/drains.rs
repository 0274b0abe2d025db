//! Drains that somebody waits for: who asks the agents whether they are over.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use balancer_core::{
    model::Endpoint,
    state::{Change, OperationId},
};
use futures::{StreamExt, future::join_all, stream};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::MissedTickBehavior,
};

use balancer_api::{
    client::Client,
    command::Command,
    drain_status::DrainStatus,
    token::Token,
    views::{OperationView, SocketQuery},
};

/// How often agents are asked.
const ASK: Duration = Duration::from_millis(500);

/// How long a backend has to be without a socket.
const QUIET: Duration = Duration::from_secs(2);

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many agents are asked at once.
const MAX_CONCURRENT: usize = 16;

/// Asks the agents of running drains, posts what they say, and ends a drain without sockets, until `stopped`.
pub(super) async fn watch_drains(
    drain_status: watch::Sender<DrainStatus>,
    commands: mpsc::Sender<Command>,
    token: Option<Token>,
    mut stopped: watch::Receiver<()>,
) {
    let mut tick = tokio::time::interval(ASK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Since when each backend has had no socket.
    let mut quiet: BTreeMap<OperationId, Instant> = BTreeMap::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            _ = tick.tick() => {}
        }
        let running = drain_status.borrow().running();
        drain_status.send_if_modified(|drain_status| {
            drain_status.forget_sockets();
            false
        });
        quiet.retain(|id, _| running.iter().any(|view| view.id == *id));
        let counts: Vec<(OperationId, Option<u64>)> = stream::iter(running)
            .map(|view| ask(view, token.clone()))
            .buffer_unordered(MAX_CONCURRENT)
            .collect()
            .await;
        let mut over = Vec::new();
        for (id, sockets) in counts {
            drain_status.send_if_modified(|drain_status| drain_status.note_sockets(&id, sockets));
            if sockets != Some(0) {
                quiet.remove(&id);
            } else if quiet
                .entry(id.clone())
                .or_insert_with(Instant::now)
                .elapsed()
                >= QUIET
            {
                over.push(end(&commands, id));
            }
        }
        // Together, so that they are one publication.
        join_all(over).await;
    }
}

/// How many sockets of the service the backend has, if its agent answers and knows it.
async fn ask(view: OperationView, token: Option<Token>) -> (OperationId, Option<u64>) {
    let query = SocketQuery {
        vip: view.vip,
        port: view.port,
        protocol: view.protocol,
    };
    let agent = view.agent.and_then(|agent| agent.parse::<Endpoint>().ok());
    let Some(agent) = agent else {
        return (view.id, None);
    };
    let client = Client::new(agent).with_token(token).with_timeout(PATIENCE);
    let answer = client.sockets(&query).await;
    let items = answer.map(|reply| reply.items).unwrap_or_default();
    let ours = items.iter().filter(|item| match &view.instance {
        Some(instance) => item.instance == *instance,
        None => item.address == view.address,
    });
    (view.id, ours.map(|item| item.established).max())
}

async fn end(commands: &mpsc::Sender<Command>, id: OperationId) {
    let (reply, answer) = oneshot::channel();
    let change = Change::Drained {
        service: id.service,
        address: id.address,
        incarnation: id.incarnation,
    };
    let command = Command::Change {
        change,
        dry_run: false,
        reply,
    };
    // What fails now is tried again at the next look.
    if commands.send(command).await.is_ok() {
        let _ = answer.await;
    }
}
