//! A network namespace: its links by `ip`, its sysctls, programs and sockets inside it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};

use crate::patient;

/// Where `ip netns` keeps the names.
pub(crate) const NAMESPACES: &str = "/run/netns";

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(2);

/// A named network namespace of the calling thread's world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub(crate) fn add(name: &str) -> Result<Namespace> {
        output(Command::new("ip").args(["netns", "add", name]))?;
        let namespace = Namespace {
            name: name.to_owned(),
        };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Gives the namespace that is at `path` a name here.
    pub fn adopt(name: &str, path: &Path) -> Result<Namespace> {
        let place = Path::new(NAMESPACES).join(name);
        File::create(&place)?;
        output(Command::new("mount").arg("--bind").arg(path).arg(&place))?;
        Ok(Namespace {
            name: name.to_owned(),
        })
    }

    pub(crate) fn delete(&self) -> Result<()> {
        output(Command::new("ip").args(["netns", "delete", &self.name])).map(drop)
    }

    /// The name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.name)
    }

    /// Runs `ip` commands inside, one a line.
    pub fn ip(&self, batch: &str) -> Result<()> {
        let mut ip = Command::new("ip")
            .args(["-netns", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start ip")?;
        ip.stdin
            .take()
            .context("no stdin")?
            .write_all(batch.as_bytes())?;
        let done = ip.wait_with_output()?;
        if !done.status.success() {
            bail!(
                "ip in {}: {}",
                self.name,
                String::from_utf8_lossy(&done.stderr).trim()
            );
        }
        Ok(())
    }

    /// A command that will run inside. (`ip netns exec` would hide bpffs.)
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.path().display()))
            .arg(program);
        command
    }

    /// Runs a program inside; its standard output, or an error with everything that it said.
    pub fn run(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Result<String> {
        output(self.command(program).args(arguments))
            .with_context(|| format!("in the namespace {}", self.name))
    }

    /// Sets sysctls below `/proc/sys/net`: `ipv4/ip_forward`, `1`.
    pub fn sysctls(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.enter(|| {
            settings.iter().try_for_each(|(key, value)| {
                fs::write(Path::new("/proc/sys/net").join(key), value)
                    .with_context(|| format!("cannot set net/{key} to {value}"))
            })
        })?
    }

    /// Runs `work` on a thread that is inside: its sockets are this namespace's.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let entrance = self.entrance()?;
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(&entrance, CloneFlags::CLONE_NEWNET).context("cannot enter the namespace")?;
                Ok(work())
            });
            match inside.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// An open handle, by which any thread of any world can enter.
    pub(crate) fn entrance(&self) -> Result<File> {
        File::open(self.path()).with_context(|| format!("no network namespace {}", self.name))
    }

    /// One request by `curl`; the body, or why there is none.
    pub fn curl(&self, url: &str) -> Result<String> {
        self.run(
            "curl",
            &[
                "--silent",
                "--show-error",
                "--fail",
                "--max-time",
                &patient(REQUEST).as_secs().to_string(),
                "--globoff",
                url,
            ],
        )
    }
}

/// Runs a command to its end; its standard output, or an error with everything that it said.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{command:?}: {status}: {} {}", said(&stdout), said(&stderr));
    }
    Ok(said(&stdout))
}
