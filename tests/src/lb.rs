//! The real `lbd edge`, `lbd agent` and `lbctl`, as a test or the demo runs them.

use std::cell::RefCell;
use std::fs;
use std::net::IpAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use balancer::api::views::{BackendView, ServiceView, StatusView};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Instance, Namespace, Process, Topology, World, program, wait_for};

/// How long a daemon may take to be ready.
const START: Duration = Duration::from_secs(10);

/// Where the edge's metrics are, inside its namespace.
const METRICS: &str = "127.0.0.1:9107";

/// `lbd edge` in a namespace, and what belongs to it.
pub struct Edge {
    name: String,
    namespace: Namespace,
    directory: PathBuf,
    process: Rc<RefCell<Process>>,
    notices: UnixDatagram,
}

/// What an edge's configuration says beyond its places.
#[derive(Clone, Debug, Default)]
pub struct EdgeOptions {
    /// Top-level keys, as TOML lines.
    pub settings: String,
    /// `[[service]]` tables, as TOML.
    pub services: String,
}

/// What `lbctl` or `lbd` said.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The exit code; of a signal, -1.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Reply {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Result<Reply> {
        let done = command
            .output()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(Reply {
            code: done.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
        })
    }
}

/// Runs `lbd` in a namespace to its end, which has to come soon: exit code 124 if it does not.
pub fn lbd(namespace: &Namespace, arguments: &[&str]) -> Result<Reply> {
    let mut command = namespace.command("timeout");
    command
        .args(["--kill-after=1", "20"])
        .arg(program("lbd")?)
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    Reply::of(&mut command)
}

impl Edge {
    /// Writes the configuration, starts `lbd edge` on `eth0`, and waits until it is ready.
    pub fn start(
        world: &World,
        name: &str,
        namespace: &Namespace,
        options: &EdgeOptions,
    ) -> Result<Edge> {
        let directory = world.directory().join(name);
        fs::create_dir_all(&directory)?;
        let config = directory.join("edge.toml");
        fs::write(&config, edge_config(world, name, &directory, options))?;
        let (process, notices) = launch(world, name, namespace, "edge", &config)?;
        Ok(Edge {
            name: name.to_owned(),
            namespace: namespace.clone(),
            directory,
            process,
            notices,
        })
    }

    /// Starts it again, after it was killed or terminated, with the same configuration.
    pub fn start_again(&mut self, world: &World) -> Result<()> {
        let config = self.directory.join("edge.toml");
        (self.process, self.notices) = launch(world, &self.name, &self.namespace, "edge", &config)?;
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.process.borrow_mut().kill();
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&self) -> Result<ExitStatus> {
        self.process.borrow_mut().terminate(START)
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.borrow().log()
    }

    /// What it has told systemd since it was ready, and was not asked for yet.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        let mut message = [0; 256];
        while let Ok(length) = self.notices.recv(&mut message) {
            let text = String::from_utf8_lossy(&message[..length]);
            notices.extend(text.lines().map(str::to_owned));
        }
        notices
    }

    /// Its API socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("lbd.sock")
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.directory.join("edge.toml")
    }

    /// Its state directory.
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// Its pin directory.
    pub fn pins(&self, world: &World) -> PathBuf {
        world.bpffs().join(&self.name)
    }

    /// What `lbctl status` says.
    pub fn status(&self) -> Result<StatusView> {
        let mut items: Vec<StatusView> = self.items(&["status"])?;
        items.pop().context("a status has one item")
    }

    /// What `lbctl services list` says.
    pub fn services(&self) -> Result<Vec<ServiceView>> {
        self.items(&["services", "list"])
    }

    /// What `lbctl backends list` says.
    pub fn backends(&self) -> Result<Vec<BackendView>> {
        self.items(&["backends", "list"])
    }

    fn items<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<Vec<T>> {
        let mut reply = self.lbctl_json(arguments)?;
        serde_json::from_value(reply["items"].take()).context("items of another kind")
    }

    /// A command that runs `lbctl` against it.
    pub fn lbctl_command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("lbctl")?);
        command
            .arg("--socket")
            .arg(self.socket())
            .args(arguments)
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Runs `lbctl` against it, whatever comes of it.
    pub fn lbctl(&self, arguments: &[&str]) -> Result<Reply> {
        Reply::of(&mut self.lbctl_command(arguments)?)
    }

    /// Runs `lbctl`, which must succeed; its standard output.
    pub fn lbctl_ok(&self, arguments: &[&str]) -> Result<String> {
        let reply = self.lbctl(arguments)?;
        if reply.code != 0 {
            bail!(
                "lbctl {}: exit code {}: {}",
                arguments.join(" "),
                reply.code,
                reply.stderr.trim()
            );
        }
        Ok(reply.stdout)
    }

    /// Runs `lbctl --output json`, which must succeed.
    pub fn lbctl_json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.lbctl_ok(&[&["--output", "json"], arguments].concat())?;
        serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
    }

    /// Scrapes its metrics.
    pub fn metrics(&self) -> Result<String> {
        self.namespace.curl(&format!("http://{METRICS}/metrics"))
    }

    /// One sample of its metrics: `lb_packets_total{reason="undeclared_port"}`.
    pub fn metric(&self, sample: &str) -> Result<f64> {
        let metrics = self.metrics()?;
        metrics
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))
            .with_context(|| format!("no sample {sample} in\n{metrics}"))?
            .parse()
            .with_context(|| format!("{sample} is no number"))
    }
}

/// `lbd agent` for the instances of a topology.
pub struct Agent {
    config: PathBuf,
    vips: Vec<IpAddr>,
    process: Rc<RefCell<Process>>,
}

impl Agent {
    /// Starts one agent, in the router's place of the host, that serves these instances' namespaces.
    pub fn start(world: &World, topology: &Topology, vips: &[IpAddr]) -> Result<Agent> {
        let config = world.directory().join("agent.toml");
        fs::write(&config, agent_config(world, &topology.instances, vips))?;
        let (process, _) = launch(world, "agent", &topology.router, "agent", &config)?;
        Ok(Agent {
            config,
            vips: vips.to_vec(),
            process,
        })
    }

    /// Tells it about instances that were added to the topology: a restart with a new configuration.
    pub fn reload(&mut self, world: &World, topology: &Topology) -> Result<()> {
        self.process.borrow_mut().terminate(START)?;
        fs::write(
            &self.config,
            agent_config(world, &topology.instances, &self.vips),
        )?;
        (self.process, _) = launch(world, "agent", &topology.router, "agent", &self.config)?;
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.process.borrow_mut().kill();
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.borrow().log()
    }
}

/// Starts `lbd` as systemd would, and waits until it says that it is ready.
fn launch(
    world: &World,
    name: &str,
    namespace: &Namespace,
    role: &str,
    config: &Path,
) -> Result<(Rc<RefCell<Process>>, UnixDatagram)> {
    let place = world.directory().join(format!("{name}.ready"));
    // A former process of this name may have left its own.
    let _ = fs::remove_file(&place);
    let readiness = UnixDatagram::bind(&place).context("cannot listen for readiness")?;
    readiness.set_nonblocking(true)?;
    let text = |path: &Path| {
        path.to_str()
            .context("a path of ours is text")
            .map(str::to_owned)
    };
    let socket = format!("NOTIFY_SOCKET={}", text(&place)?);
    let arguments = [
        &socket,
        &text(&program("lbd")?)?,
        role,
        "--config",
        &text(config)?,
    ];
    let process = world.start(name, namespace, "env", &arguments)?;
    wait_for(&format!("{name} to be ready"), START, || {
        let mut message = [0; 256];
        if let Ok(length) = readiness.recv(&mut message)
            && message[..length]
                .split(|byte| *byte == b'\n')
                .any(|line| line == b"READY=1")
        {
            return Ok(());
        }
        let mut process = process.borrow_mut();
        ensure!(process.is_running(), "it ended:\n{}", process.log_tail());
        bail!("it has not said so");
    })?;
    Ok((process, readiness))
}

fn edge_config(world: &World, name: &str, directory: &Path, options: &EdgeOptions) -> String {
    let EdgeOptions { settings, services } = options;
    // The edge of a test has its default route on the interface that it balances on.
    format!(
        "version = 1\n\
         interface = \"eth0\"\n\
         allow_default_route_interface = true\n\
         pin_dir = \"{}\"\n\
         state_dir = \"{}\"\n\
         api_socket = \"{}\"\n\
         metrics_listen = \"{METRICS}\"\n\
         {settings}\n{services}\n",
        world.bpffs().join(name).display(),
        directory.join("state").display(),
        directory.join("lbd.sock").display(),
    )
}

fn agent_config(world: &World, instances: &[Instance], vips: &[IpAddr]) -> String {
    let quoted = |items: &mut dyn Iterator<Item = String>| {
        items
            .map(|item| format!("\"{item}\""))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut text = format!(
        "version = 1\npin_dir = \"{}\"\nedges = [{}]\n",
        world.bpffs().join("agent").display(),
        quoted(&mut Topology::FABRIC.iter().map(|prefix| (*prefix).to_owned())),
    );
    let vips = quoted(&mut vips.iter().map(IpAddr::to_string));
    for Instance {
        name, namespace, ..
    } in instances
    {
        let path = namespace.path();
        text.push_str(&format!(
            "[[instance]]\nname = \"{name}\"\nnetns = \"{}\"\nvips = [{vips}]\n",
            path.display()
        ));
    }
    text
}
