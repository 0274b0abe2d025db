//! Measures in a child process, and removes what is left of it, however it ends.

use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testbed::wait_for;

/// How often the child and Ctrl-C are looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long the kernel may take to end what the child has started.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs this program again with the same arguments. Namespaces, mounts and processes end with the child; the files are
/// in a directory of this process, which goes afterwards.
pub(crate) fn run(disk: Option<&Path>) -> Result<()> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&interrupted);
    ctrlc::set_handler(move || seen.store(true, Ordering::Relaxed))
        .context("cannot listen for Ctrl-C")?;
    let disk = disk.map_or_else(env::temp_dir, Path::to_owned);
    let files = tempfile::Builder::new()
        .prefix("balancer-control-")
        .tempdir_in(&disk)
        .with_context(|| format!("cannot write in {}", disk.display()))?;
    let mut child = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .arg("--unwatched")
        .env("TMPDIR", files.path())
        .spawn()
        .context("cannot start the bench")?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if interrupted.load(Ordering::Relaxed) {
            // It may have ended meanwhile.
            let _ = child.kill();
            child.wait()?;
            remove(files)?;
            bail!("interrupted");
        }
        thread::sleep(INTERVAL);
    };
    remove(files)?;
    match (status.success(), status.signal()) {
        (true, _) => Ok(()),
        (false, Some(signal)) => bail!("ended by signal {signal}"),
        // It has said why.
        (false, None) => bail!("failed"),
    }
}

/// A daemon that is about to end may write a file once more.
fn remove(files: tempfile::TempDir) -> Result<()> {
    let place = files.keep();
    wait_for("the bench's files to go", END_TIMEOUT, || {
        fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))
    })
}
