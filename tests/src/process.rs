//! A program that runs in the background of a world, with its log.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::namespace::Namespace;
use crate::wait_for;

/// How much of a log is shown on failure.
const LINES_SHOWN: usize = 40;

/// One started program.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// `kept` processes outlive us; the others die with the thread that started them.
    pub(crate) fn start(
        name: &str,
        namespace: &Namespace,
        program: impl AsRef<OsStr>,
        arguments: &[&str],
        log: &Path,
        kept: bool,
    ) -> Result<Process> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = if kept {
            Command::new("setsid")
        } else {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL"]);
            command
        };
        let inside = namespace.command(program);
        let child = command
            .arg(inside.get_program())
            .args(inside.get_args())
            .args(arguments)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Process {
            name: name.to_owned(),
            child,
            log: log.to_path_buf(),
        })
    }

    /// What it was called at the start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id (the wrappers of the start replace themselves).
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self, timeout: Duration) -> Result<ExitStatus> {
        kill(Pid::from_raw(self.pid().try_into()?), Signal::SIGTERM)
            .with_context(|| format!("cannot terminate {}", self.name))?;
        self.wait(timeout)
    }

    /// Waits for the end.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait_for(&what, timeout, || match self.child.try_wait()? {
            Some(status) => Ok(status),
            None => bail!("it still runs"),
        })
    }

    /// Everything it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of its log, headed by its name.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
        format!(
            "--- {} (pid {})\n{}\n",
            self.name,
            self.pid(),
            shown.join("\n")
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
