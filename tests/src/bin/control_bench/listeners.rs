//! The backends: every address of the hosts' namespace accepts connections on these ports, and waits for their end.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use nix::sys::socket::{Backlog, listen};
use testbed::Namespace;
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

/// As many open connections as there may be at once; the others wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 8_000;

/// Listens as long as it lives.
pub(crate) struct Listeners {
    end: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Listeners {
    pub(crate) fn start(hosts: &Namespace, ports: &[u16]) -> Result<Listeners> {
        let listeners: Vec<TcpListener> = hosts.enter(|| {
            let bind = |&port: &u16| {
                let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
                    .with_context(|| format!("cannot listen on port {port}"))?;
                listener.set_nonblocking(true)?;
                // All backends share one queue here, and the usual 128 are 25 ms of them: as many as `somaxconn` allows.
                listen(&listener, Backlog::MAXALLOWABLE)?;
                anyhow::Ok(listener)
            };
            ports.iter().map(bind).collect::<Result<Vec<_>>>()
        })??;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let end = Arc::new(Notify::new());
        let ending = Arc::clone(&end);
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let open = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
                for listener in listeners {
                    match tokio::net::TcpListener::from_std(listener) {
                        Ok(listener) => drop(tokio::spawn(serve(listener, Arc::clone(&open)))),
                        Err(error) => eprintln!("a host does not listen: {error}"),
                    }
                }
                ending.notified().await;
            });
        });
        Ok(Listeners {
            end,
            thread: Some(thread),
        })
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.end.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whoever asks ends the connection, as with a server that waits for a request.
async fn serve(listener: tokio::net::TcpListener, open: Arc<tokio::sync::Semaphore>) {
    loop {
        let Ok(place) = Arc::clone(&open).acquire_owned().await else {
            return;
        };
        let Ok((mut stream, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(async move {
            // The end, or a reset: both are the end.
            let _ = stream.read(&mut [0]).await;
            drop(place);
        });
    }
}
