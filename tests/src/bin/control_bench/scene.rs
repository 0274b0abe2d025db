//! Where a case takes place: `lbd edge` in one network namespace, every backend in another.
//!
//! ```text
//! edge, 10.1.0.2, `eth0` -- `w0`, 10.1.0.1, hosts: every address of 10.16.0.0/12 is its own
//! ```
//!
//! Neighbours are fixed, so that a host that falls silent stays a next hop, and checks alone tell that it is dead.

use std::cell::RefCell;
use std::env;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testbed::{Namespace, Process, World};

use crate::http::Place;
use crate::packets::Balance;
use crate::services::{PREFIX, Services};
use crate::usage::{self, Saves, Usage};

/// The edge's address.
const EDGE: &str = "10.1.0.2";

/// Where the edge's metrics are, inside its namespace.
pub(crate) const METRICS: &str = "127.0.0.1:9107";

/// Where events are taken, inside the edge's namespace.
pub(crate) const API: &str = "127.0.0.1:9118";

/// The link that VIPs are put on where they are announced.
pub(crate) const ANNOUNCED_ON: &str = "eth1";

/// Longer than any start that is worth waiting for.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(150);

/// How soon an end of the daemon is seen while it starts.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Namespaces, configuration and directories of one edge.
pub(crate) struct Scene {
    world: World,
    lbd: PathBuf,
    pub(crate) edge: Namespace,
    pub(crate) hosts: Namespace,
    state: PathBuf,
    pub(crate) services: Services,
    saves: Saves,
}

/// A started daemon.
pub(crate) struct Daemon {
    process: Rc<RefCell<Process>>,
    /// From the command to `READY=1`; `None` if it was not ready in time.
    pub(crate) ready_after: Option<Duration>,
    pub(crate) ready_at: Instant,
}

/// What a daemon had used when it was looked at.
pub(crate) struct Mark {
    cpu_ms: f64,
    saves: u64,
    at: Instant,
}

impl Scene {
    /// Builds it; `settings` are further lines of the configuration.
    pub(crate) fn new(lbd: &Path, services: Services, settings: &str) -> Result<Scene> {
        let world = World::new()?;
        let hosts = world.add_namespace("hosts")?;
        let edge = world.add_namespace("edge")?;
        for (namespace, key, value) in [
            (&hosts, "ipv4/conf/all/rp_filter", "0"),
            (&hosts, "ipv4/conf/default/rp_filter", "0"),
            (&hosts, "ipv6/conf/default/disable_ipv6", "1"),
            (&hosts, "core/somaxconn", "16384"),
            (&hosts, "ipv4/tcp_max_syn_backlog", "16384"),
            (&edge, "ipv6/conf/default/disable_ipv6", "1"),
        ] {
            namespace.sysctls(&[(key, value)])?;
        }
        hosts.ip(&format!(
            "link add w0 mtu 1600 address 02:00:00:00:00:01 type veth \
             peer name eth0 mtu 1600 address 02:00:00:00:00:02 netns edge\n\
             link add w1 type veth peer name {ANNOUNCED_ON} netns edge\n\
             addr add 10.1.0.1/24 dev w0\n\
             link set w0 up\n\
             link set w1 up\n\
             neigh add {EDGE} lladdr 02:00:00:00:00:02 dev w0 nud permanent\n\
             route add local {PREFIX} dev lo\n"
        ))?;
        edge.ip(&format!(
            "addr add {EDGE}/24 dev eth0\n\
             link set eth0 up\n\
             link set {ANNOUNCED_ON} up\n\
             neigh add 10.1.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent\n\
             route add {PREFIX} via 10.1.0.1\n"
        ))?;
        // Of the bench's own directory on a disk: the world's is in memory.
        let state = env::temp_dir().join(format!("{}-state", world.name()));
        fs::create_dir(&state).with_context(|| format!("cannot make {}", state.display()))?;
        let scene = Scene {
            lbd: lbd.to_owned(),
            saves: Saves::watch(&state)?,
            world,
            edge,
            hosts,
            state,
            services,
        };
        let config = format!(
            "version = 1\n\
             interface = \"eth0\"\n\
             pin_dir = \"{}\"\n\
             state_dir = \"{}\"\n\
             api_socket = \"{}\"\n\
             metrics_listen = \"{METRICS}\"\n\
             api_listen = \"{API}\"\n\
             hash_key = \"0123456789abcdef\"\n\
             {settings}\n{}",
            scene.pins().display(),
            scene.state.display(),
            scene.socket().display(),
            scene.services.toml(),
        );
        fs::write(scene.config(), config)?;
        Ok(scene)
    }

    fn config(&self) -> PathBuf {
        self.world.directory().join("edge.toml")
    }

    fn socket(&self) -> PathBuf {
        self.world.directory().join("lbd.sock")
    }

    fn pins(&self) -> PathBuf {
        self.world.bpffs().join("edge")
    }

    /// The daemon's control interface.
    pub(crate) fn api(&self) -> Place {
        Place::Unix(self.socket())
    }

    /// The state directory.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// The program that packets meet.
    pub(crate) fn balance(&self) -> Result<Balance> {
        Balance::open(&self.pins())
    }

    /// Starts `lbd edge` and waits until it is ready, or `timeout` is over.
    pub(crate) fn start_within(&self, timeout: Duration) -> Result<Daemon> {
        self.launch("edge", timeout)
    }

    /// Starts `lbd edge` and waits until it is ready, which it has to be.
    pub(crate) fn start(&self) -> Result<Daemon> {
        let daemon = self.start_within(START_TIMEOUT)?;
        match daemon.ready_after {
            Some(took) => eprintln!("  ready after {:.1} s", took.as_secs_f64()),
            None => bail!(
                "lbd edge was not ready within {START_TIMEOUT:?}:\n{}",
                daemon.tail()
            ),
        }
        Ok(daemon)
    }

    /// Starts `lbd guard` for this edge; it ends with the scene.
    pub(crate) fn start_guard(&self) -> Result<Daemon> {
        let guard = self.launch("guard", START_TIMEOUT)?;
        ensure!(
            guard.ready_after.is_some(),
            "lbd guard is not ready:\n{}",
            guard.tail()
        );
        Ok(guard)
    }

    fn launch(&self, role: &str, timeout: Duration) -> Result<Daemon> {
        let place = self.world.directory().join(format!("{role}.ready"));
        // A daemon before this one may have left its own.
        let _ = fs::remove_file(&place);
        let readiness = UnixDatagram::bind(&place).context("cannot listen for readiness")?;
        readiness.set_read_timeout(Some(LOOK_INTERVAL))?;
        let text = |path: &Path| {
            path.to_str()
                .context("a path of ours is text")
                .map(str::to_owned)
        };
        let socket = format!("NOTIFY_SOCKET={}", text(&place)?);
        let (lbd, config) = (text(&self.lbd)?, text(&self.config())?);
        let started = Instant::now();
        let process = self.world.start(
            role,
            &self.edge,
            "env",
            &[&socket, &lbd, role, "--config", &config],
        )?;
        let mut message = [0; 256];
        let ready_at = loop {
            if let Ok(length) = readiness.recv(&mut message)
                && message[..length]
                    .split(|byte| *byte == b'\n')
                    .any(|line| line == b"READY=1")
            {
                break Some(Instant::now());
            }
            let mut process = process.borrow_mut();
            ensure!(
                process.is_running(),
                "lbd {role} ended:\n{}",
                process.log_tail()
            );
            if started.elapsed() >= timeout {
                break None;
            }
        };
        Ok(Daemon {
            process,
            ready_after: ready_at.map(|ready| ready - started),
            ready_at: ready_at.unwrap_or_else(Instant::now),
        })
    }

    /// Marks a moment for [`Scene::used_since`].
    pub(crate) fn mark(&self, daemon: &Daemon) -> Result<Mark> {
        Ok(Mark {
            cpu_ms: usage::cpu_ms(daemon.pid())?,
            saves: self.saves.count(),
            at: Instant::now(),
        })
    }

    /// The moment before a daemon was started.
    pub(crate) fn nothing_used(&self) -> Mark {
        Mark {
            cpu_ms: 0.0,
            saves: self.saves.count(),
            at: Instant::now(),
        }
    }

    /// What the daemon has used since then.
    pub(crate) fn used_since(&self, daemon: &Daemon, mark: &Mark) -> Result<Usage> {
        Ok(Usage {
            cpu_ms: usage::cpu_ms(daemon.pid())? - mark.cpu_ms,
            saves: self.saves.count() - mark.saves,
        })
    }

    /// Writes to the state directory so far.
    pub(crate) fn saves(&self) -> u64 {
        self.saves.count()
    }

    /// Makes a host silent: what is sent to it is lost, and nobody is told.
    pub(crate) fn silence(&self, host: Ipv4Addr) -> Result<()> {
        self.hosts
            .ip(&format!("route add blackhole {host}/32 table local\n"))
    }

    /// Lets a host answer again.
    pub(crate) fn revive(&self, host: Ipv4Addr) -> Result<()> {
        self.hosts
            .ip(&format!("route del blackhole {host}/32 table local\n"))
    }
}

impl Mark {
    /// The share of one processor, in percent, that so much is since then.
    pub(crate) fn cpu_percent(&self, usage: &Usage) -> f64 {
        usage.cpu_ms / (self.at.elapsed().as_secs_f64() * 10.0)
    }
}

impl Drop for Scene {
    /// The state directory is none of the world's.
    fn drop(&mut self) {
        for (_, pid) in self.world.running() {
            if let Ok(pid) = pid.try_into() {
                let pid = nix::unistd::Pid::from_raw(pid);
                // It may have ended meanwhile; the world waits for its end.
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        }
        // The watcher of this process removes what is left.
        let _ = fs::remove_dir_all(&self.state);
    }
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.process.borrow().pid()
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        self.process.borrow_mut().kill();
    }

    /// Lines of its log that are warnings, and errors. Daemons that were started one after another share a log.
    pub(crate) fn complaints(&self) -> (usize, usize) {
        let log = self.process.borrow().log();
        let count = |level: &str| log.lines().filter(|line| line.contains(level)).count();
        (count(" WARN "), count(" ERROR "))
    }

    fn tail(&self) -> String {
        self.process.borrow().log_tail()
    }
}
