//! The signals that end a daemon.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Ready on SIGTERM or SIGINT.
pub fn terminated() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
