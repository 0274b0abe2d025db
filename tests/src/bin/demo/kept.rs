//! What `--keep` leaves: processes, whose private namespaces live as long as they do, and a directory.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::wait_for;

/// Outside every world, so that a later process finds it.
const RECORD: &str = "/run/balancer-demo";

/// One line a thing: `process PID START NAME` or `directory PATH`.
fn record() -> PathBuf {
    Path::new(RECORD).join("kept")
}

fn write_down(line: &str) -> Result<()> {
    fs::create_dir_all(RECORD).with_context(|| format!("cannot make {RECORD}"))?;
    let mut file = fs::File::options()
        .create(true)
        .append(true)
        .open(record())?;
    writeln!(file, "{line}").with_context(|| format!("cannot write {}", record().display()))
}

/// Notes a process that will outlive the demo.
pub(crate) fn record_process(pid: u32, name: &str) -> Result<()> {
    let start = start_time(pid).with_context(|| format!("{name} has ended already"))?;
    write_down(&format!("process {pid} {start} {name}"))
}

/// Notes a directory to remove when the processes are gone.
pub(crate) fn record_directory(directory: &Path) -> Result<()> {
    write_down(&format!("directory {}", directory.display()))
}

/// There is one record of what is kept.
pub(crate) fn refuse_second() -> Result<()> {
    if record().exists() {
        bail!("an earlier demo is kept up: run `cargo xtask clean` first");
    }
    Ok(())
}

/// Ends the recorded processes and removes the recorded directories.
pub(crate) fn clean() -> Result<()> {
    let Ok(text) = fs::read_to_string(record()) else {
        return Ok(());
    };
    let lines = || text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut ended = Vec::new();
    for line in lines() {
        if let ["process", pid, start, ..] = line[..] {
            let pid: u32 = pid.parse().context("the record is damaged")?;
            // Another process may have this number by now.
            if start_time(pid).is_some_and(|now| now == start) {
                kill(Pid::from_raw(pid.try_into()?), Signal::SIGKILL)?;
                ended.push(pid);
            }
        }
    }
    wait_for(
        "the demo's processes to end",
        Duration::from_secs(10),
        || match ended.iter().find(|pid| start_time(**pid).is_some()) {
            Some(pid) => bail!("process {pid} still runs"),
            None => Ok(()),
        },
    )?;
    for line in lines() {
        if let ["directory", directory] = line[..]
            && Path::new(directory).exists()
        {
            fs::remove_dir_all(directory).with_context(|| format!("cannot remove {directory}"))?;
        }
    }
    fs::remove_dir_all(RECORD).with_context(|| format!("cannot remove {RECORD}"))?;
    println!("clean: {} processes of the kept demo ended", ended.len());
    Ok(())
}

/// When a process that still runs was started, in the kernel's ticks since boot.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the last parenthesis may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ended = fields.first() == Some(&"Z");
    (!ended)
        .then(|| fields.get(19).map(|start| (*start).to_owned()))
        .flatten()
}
