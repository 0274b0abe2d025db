//! `lbd supervise DIRECTORY`: the process above a container, which outlives the daemon.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    os::{
        fd::RawFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use nix::{
    sys::{prctl::set_pdeathsig, signal::Signal},
    unistd::{close, dup2_stderr, dup2_stdout, setsid},
};
use serde::{Deserialize, Serialize};

use super::{
    log::Writer,
    process::{END, End, Identity, PROCESSES, Processes},
    record,
};
use crate::runtime::RuntimeError;

/// What to run: `run.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct Run {
    /// The program's path, and its arguments.
    pub(super) command: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    /// The `cgroup.procs` of its cgroups.
    pub(super) entrances: Vec<PathBuf>,
}

pub(super) const RUN: &str = "run.json";
/// Says which of the three processes one is; unset for the first.
const PART: &str = "LBD_SUPERVISE";
/// Longer lines are cut into several.
const LINE_BYTES: u64 = 16 * 1024;

/// Runs a container whose directory was filled by the built-in runtime.
///
/// Three processes with the same arguments: the first starts the second and ends, so that the second is nobody's
/// child; the second is the supervisor; the third enters the cgroups and becomes the container. Prints `started` when
/// the container runs.
///
/// To be called before the process has opened anything: the first closes what it inherited beyond standard input, output
/// and errors, for a lock or a connection of whoever started the daemon is not to be held by containers.
///
/// # Errors
///
/// When the directory has nothing to run, or a process cannot be started.
pub fn supervise(directory: &Path) -> Result<(), RuntimeError> {
    let failed = |source| RuntimeError::file("supervise", directory)(source);
    match env::var(PART).as_deref() {
        Ok("container") => become_container(directory),
        Ok(_) => watch(directory),
        Err(_) => {
            close_inherited().map_err(failed)?;
            let mut second = again(directory, "supervisor").map_err(failed)?;
            second.spawn().map(drop).map_err(failed)
        }
    }
}

fn close_inherited() -> io::Result<()> {
    let listed = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect::<Vec<RawFd>>();
    for descriptor in listed.into_iter().filter(|descriptor| *descriptor > 2) {
        // The list's own is closed already.
        let _ = close(descriptor);
    }
    Ok(())
}

fn again(directory: &Path, part: &str) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command
        .arg("supervise")
        .arg(directory)
        .env(PART, part)
        .stdin(Stdio::null());
    Ok(command)
}

fn become_container(directory: &Path) -> Result<(), RuntimeError> {
    let failed = |source| RuntimeError::file("supervise", directory)(source);
    // The container is not to run without its supervisor, and is to be killed with all its group.
    set_pdeathsig(Signal::SIGKILL).map_err(|errno| failed(errno.into()))?;
    setsid().map_err(|errno| failed(errno.into()))?;
    let run = load(directory)?;
    for entrance in &run.entrances {
        fs::write(entrance, "0").map_err(RuntimeError::file("enter", entrance))?;
    }
    let (program, arguments) = run.command.split_first().expect("a command was checked");
    let error = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(run.env)
        .exec();
    eprintln!("cannot run {program}: {error}");
    process::exit(127);
}

fn watch(directory: &Path) -> Result<(), RuntimeError> {
    let failed = |source| RuntimeError::file("supervise", directory)(source);
    setsid().map_err(|errno| failed(errno.into()))?;
    let _ = fs::remove_file(directory.join(END));
    let mut container = again(directory, "container")
        .map_err(failed)?
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let written = write_down(directory, &container);
    if let Err(error) = written {
        let _ = container.kill();
        return Err(error);
    }
    // Whoever launched waits for the end of these.
    let null = File::options()
        .write(true)
        .open("/dev/null")
        .map_err(failed)?;
    let mut out = io::stdout();
    let _ = out.write_all(b"started\n").and_then(|()| out.flush());
    dup2_stdout(&null).map_err(|errno| failed(errno.into()))?;
    dup2_stderr(&null).map_err(|errno| failed(errno.into()))?;

    let log = Mutex::new(Writer::open(directory));
    let (out, err) = (container.stdout.take(), container.stderr.take());
    let status = thread::scope(|scope| {
        scope.spawn(|| out.map(|out| copy(out, &log)));
        scope.spawn(|| err.map(|err| copy(err, &log)));
        container.wait()
    });
    let status = status.map_err(failed)?;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(-1);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let at_unix_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    record::write(&directory.join(END), &End { code, at_unix_ms })
}

fn write_down(directory: &Path, container: &Child) -> Result<(), RuntimeError> {
    let identity = |pid: u32| i32::try_from(pid).ok().and_then(Identity::of);
    let gone = || {
        RuntimeError::file("supervise", directory)(io::Error::other("the container ended at once"))
    };
    let processes = Processes {
        supervisor: identity(process::id()).ok_or_else(gone)?,
        // A child that has ended is there until it is waited for, but as a zombie.
        main: identity(container.id()).unwrap_or(Identity {
            pid: 0,
            start_ticks: 0,
        }),
    };
    record::write(&directory.join(PROCESSES), &processes)
}

fn copy(from: impl Read, log: &Mutex<Writer>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    // An error of a pipe is its end.
    while matches!(
        (&mut from).take(LINE_BYTES).read_until(b'\n', &mut line),
        Ok(1..)
    ) {
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        log.lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .write(&line);
        line.clear();
    }
}

fn load(directory: &Path) -> Result<Run, RuntimeError> {
    let path = directory.join(RUN);
    record::read(&path)?
        .ok_or_else(|| RuntimeError::file("read", path)(io::ErrorKind::NotFound.into()))
}
