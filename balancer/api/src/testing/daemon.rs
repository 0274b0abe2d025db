//! A daemon without a data plane: it owns a state and answers commands.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{SystemTime, UNIX_EPOCH},
};

use balancer_core::state::{Change, Outcome, State};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    client::Client,
    command::{self, ChangeError, Command, Look},
    drain_status::DrainStatus,
    server::{bind, serve},
    testing::samples::{snapshot, status},
    views::{Snapshot, StatusView},
};

/// A daemon on a socket of its own; it stops when this is dropped.
pub struct Daemon {
    pub socket: PathBuf,
    /// Whether `Detach` has reached it.
    pub detached: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _directory: TempDir,
}

/// What the daemon does with commands.
pub enum Manner {
    /// Answers from a state that these changes made.
    Owns(Vec<Change>),
    /// Shows always the same.
    Shows(Snapshot),
    /// Shows always the same, and takes every change.
    Announces(Snapshot),
    /// Cannot persist anything.
    Fails,
    /// Persists, and cannot write the maps.
    FailsPartly,
    /// Drops every command without an answer.
    Stops,
    /// Keeps every command without an answer.
    Hangs,
}

impl Daemon {
    /// A daemon with a state that these changes made.
    pub fn with(changes: Vec<Change>) -> Self {
        Self::start(Manner::Owns(changes))
    }

    pub fn start(manner: Manner) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("lbd.sock");
        let detached = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn({
            let (socket, detached) = (socket.clone(), detached.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let listener = bind(&socket).unwrap();
                    ready.send(()).unwrap();
                    let (commands, changes) = mpsc::channel(16);
                    let (looks, inbox) = mpsc::channel(16);
                    tokio::spawn(answer(changes, inbox, manner, detached));
                    let shutdown = async {
                        let _ = stopped.await;
                    };
                    serve(listener, command::Daemon { commands, looks }, shutdown)
                        .await
                        .unwrap();
                });
            }
        });
        is_ready.recv().expect("the daemon listens");
        Self {
            socket,
            detached,
            stop: Some(stop),
            thread: Some(thread),
            _directory: directory,
        }
    }

    pub fn client(&self) -> Client {
        Client::new(&self.socket)
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn answer(
    mut commands: mpsc::Receiver<Command>,
    mut looks: mpsc::Receiver<Look>,
    manner: Manner,
    detached: Arc<AtomicBool>,
) {
    let mut state = State::new(1);
    if let Manner::Owns(changes) = &manner {
        for change in changes {
            state = state.change(change, now_unix_ms()).unwrap().0;
        }
    }
    let mut drained = false;
    let (mut kept_commands, mut kept_looks) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            Some(command) = commands.recv() => match manner {
                Manner::Hangs => kept_commands.push(command),
                _ => carry_out(command, &mut state, &mut drained, &manner, &detached),
            },
            Some(look) = looks.recv() => match manner {
                Manner::Hangs => kept_looks.push(look),
                _ => show(look, &mut state, drained, &manner),
            },
            else => return,
        }
    }
}

fn carry_out(
    command: Command,
    state: &mut State,
    drained: &mut bool,
    manner: &Manner,
    detached: &AtomicBool,
) {
    match (manner, command) {
        (Manner::Stops, _) => {}
        (_, Command::Detach { reply }) => {
            detached.store(true, Ordering::SeqCst);
            let _ = reply.send(Ok(()));
        }
        (Manner::Fails, Command::Change { reply, .. } | Command::DrainEdge { reply, .. }) => {
            let _ = reply.send(Err(ChangeError::Failed(
                "cannot write the state file: disk full".into(),
            )));
        }
        (
            _,
            Command::DrainEdge {
                drained: wanted,
                dry_run,
                reply,
            },
        ) => {
            let outcome = Outcome {
                changed: *drained != wanted,
                generation: state.generation,
                ..Outcome::default()
            };
            if !dry_run {
                *drained = wanted;
            }
            let _ = reply.send(Ok(outcome));
        }
        (Manner::FailsPartly, Command::Change { reply, .. }) => {
            let why = "saved, but the maps were not written: out of memory";
            let _ = reply.send(Err(ChangeError::Partly(why.into())));
        }
        (
            _,
            Command::Change {
                change,
                dry_run,
                reply,
            },
        ) => {
            let result = state.change(&change, now_unix_ms());
            let _ = reply.send(match result {
                Ok((next, outcome)) => {
                    if !dry_run {
                        *state = next;
                    }
                    Ok(outcome)
                }
                Err(refusal) => Err(refusal.into()),
            });
        }
    }
}

fn show(look: Look, state: &mut State, drained: bool, manner: &Manner) {
    match (manner, look) {
        (Manner::Stops, _) => {}
        (Manner::Shows(snapshot) | Manner::Announces(snapshot), Look::Snapshot { reply }) => {
            let _ = reply.send(Arc::new(snapshot.clone()));
        }
        (_, Look::Operations { reply }) => {
            let drain_status = DrainStatus::new(state.clone(), now_unix_ms(), true);
            let _ = reply.send(watch::Sender::new(drain_status).subscribe());
        }
        (_, Look::Snapshot { reply }) => {
            if let Ok((next, _)) = state.change(&Change::EndDrains, now_unix_ms()) {
                *state = next;
            }
            let shown = Snapshot {
                status: StatusView {
                    drained,
                    ..status(state)
                },
                ..snapshot(state)
            };
            let _ = reply.send(Arc::new(shown));
        }
    }
}

fn now_unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64
}
