//! The thread of those who look: they are answered with what changes, reports and packets leave of the processors.

use std::{future::Future, io, thread};

use rustix::process::nice;
use tokio::runtime::Builder;
use tracing::warn;

/// How far behind everything else: a tenth of the share of a thread that has something to do for the maps.
const NICE: i32 = 10;

/// Runs `work` on a thread and a runtime of its own. The threads that it starts there are as far behind.
///
/// # Errors
///
/// When there is no thread to be had.
pub(super) fn spawn<F: Future<Output = ()>>(
    work: impl FnOnce() -> F + Send + 'static,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let look = move || {
        if let Err(error) = nice(NICE) {
            warn!(
                "cannot lower the priority of what serves metrics and status, which may delay changes: {error}"
            );
        }
        // On Linux `nice` is about the calling thread.
        runtime.block_on(async { work().await });
    };
    thread::Builder::new()
        .name("lookers".to_owned())
        .spawn(look)?;
    Ok(())
}
