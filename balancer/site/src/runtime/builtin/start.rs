//! Starting and stopping an instance's containers.

use std::{
    env, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use balancer_config::workload::Container;
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use super::{
    Builtin, cgroup, namespace, process,
    record::{self, Record},
    supervisor::{RUN, Run},
};
use crate::runtime::{GRACE_SECONDS, InstanceSpec, RuntimeError};

/// The search path of containers, as engines set it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How often an end is looked for.
const LOOK: Duration = Duration::from_millis(10);
/// After SIGKILL everything ends; more than this is a process in the kernel's hands.
const KILLED: Duration = Duration::from_secs(10);

impl Builtin {
    pub(super) async fn start_all(&self, record: &mut Record) -> Result<(), RuntimeError> {
        record.notes.truncate(1);
        for container in record.spec.containers.clone() {
            let limits = cgroup::limit(&self.cgroup, record, &container);
            record.notes.extend(limits.notes);
            self.start(record, &container, limits.entrances).await?;
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        record.started_unix_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        Ok(())
    }

    async fn start(
        &self,
        record: &Record,
        container: &Container,
        entrances: Vec<PathBuf>,
    ) -> Result<(), RuntimeError> {
        let directory = record.container(&self.directory, container);
        let mut env = container.env.clone();
        env.entry("PATH".to_owned())
            .or_insert_with(|| PATH.to_owned());
        env.entry("HOSTNAME".to_owned())
            .or_insert_with(|| record.spec.name.clone());
        let mut command = container.command.clone();
        command[0] = program(container, env.get("PATH"))
            .map_err(|reason| no_command(&record.spec.name, container, reason))?
            .display()
            .to_string();
        record::write(
            &directory.join(RUN),
            &Run {
                command,
                env,
                entrances,
            },
        )?;
        let supervisor = match &self.supervisor {
            Some(program) => program.clone(),
            None => env::current_exe().map_err(RuntimeError::kernel("find this program"))?,
        };
        let netns = record.netns(&self.directory);
        let failed = |reason: String| RuntimeError::Supervisor {
            instance: record.spec.name.clone(),
            container: container.name.to_string(),
            reason,
        };
        let started = tokio::task::spawn_blocking(move || {
            namespace::inside(Some(&netns), || {
                Command::new(supervisor)
                    .arg("supervise")
                    .arg(directory)
                    .stdin(Stdio::null())
                    .output()
            })
        });
        let started = started.await.map_err(|error| failed(error.to_string()))?;
        let started = started.map_err(|error| failed(error.to_string()))?;
        match started.status.success() && started.stdout == b"started\n" {
            true => Ok(()),
            false => Err(failed(
                String::from_utf8_lossy(&started.stderr).trim().to_owned(),
            )),
        }
    }

    /// Ends every process of an instance: asks first.
    pub(super) async fn stop(&self, record: &Record) -> Result<(), RuntimeError> {
        let containers: Vec<_> = record.spec.containers.iter().collect();
        let mut runs = Vec::new();
        for container in &containers {
            runs.extend(process::processes(
                &record.container(&self.directory, container),
            )?);
        }
        runs.iter().for_each(|run| run.main.signal(Signal::SIGTERM));
        let grace = Duration::from_secs(GRACE_SECONDS.into());
        ended(grace, || runs.iter().all(|run| !run.main.runs())).await;
        let killed = ended(KILLED, || {
            for run in &runs {
                if run.main.runs() {
                    // It leads its own group.
                    let _ = killpg(Pid::from_raw(run.main.pid), Signal::SIGKILL);
                }
            }
            let left: Vec<i32> = containers
                .iter()
                .flat_map(|container| cgroup::processes(&self.cgroup, record, container))
                .collect();
            for pid in &left {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            left.is_empty() && runs.iter().all(|run| !run.supervisor.runs())
        });
        if !killed.await {
            // A supervisor waits for whoever holds the log open outside of the cgroups.
            runs.iter()
                .for_each(|run| run.supervisor.signal(Signal::SIGKILL));
        }
        Ok(())
    }
}

async fn ended(limit: Duration, has_ended: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !has_ended() {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}

/// Refuses commands that cannot run before anything is made.
pub(super) fn check_commands(spec: &InstanceSpec) -> Result<(), RuntimeError> {
    for container in &spec.containers {
        let path = container.env.get("PATH");
        program(container, path).map_err(|reason| no_command(&spec.name, container, reason))?;
    }
    Ok(())
}

fn no_command(instance: &str, container: &Container, reason: String) -> RuntimeError {
    RuntimeError::NoCommand {
        instance: instance.to_owned(),
        container: container.name.to_string(),
        program: container.command.first().cloned().unwrap_or_default(),
        reason,
    }
}

fn program(container: &Container, path: Option<&String>) -> Result<PathBuf, String> {
    let Some(name) = container.command.first() else {
        return Err(
            "the built-in runtime has no images: give the container a `command`".to_owned(),
        );
    };
    let runs = |candidate: &Path| {
        fs::metadata(candidate)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        let path = PathBuf::from(name);
        return match runs(&path) {
            true => Ok(path),
            false => Err(format!("{} on this host", io::ErrorKind::NotFound)),
        };
    }
    let path = path.map_or(PATH, String::as_str);
    env::split_paths(path)
        .map(|directory| directory.join(name))
        .find(|candidate| runs(candidate))
        .ok_or_else(|| format!("no such program in {path} of this host"))
}
