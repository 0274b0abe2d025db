//! The real `lbd edge` and `lbd agent`, as a test or the demo runs them.

use std::cell::RefCell;
use std::fs;
use std::net::IpAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::interrupt::{LINK_UPDATE, kill_before};
use crate::{Instance, Namespace, Process, Topology, World, program, wait_for};

/// How long a daemon may take to be ready: with as many services as an edge takes, over a minute.
const START: Duration = Duration::from_secs(120);

/// Where the edge's metrics are, inside its namespace.
const METRICS: &str = "127.0.0.1:9107";

/// Where the agent's metrics are, inside the namespace that it runs in.
const AGENT_METRICS: &str = "127.0.0.1:9108";

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

impl Edge {
    /// Writes the configuration, starts `lbd edge` on `eth0` unless the settings say otherwise, and waits until it is ready.
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

    /// Starts it again, and kills it when it is about to replace the program of its `nth` interface; the first is 1.
    pub fn start_and_kill_before_update(&mut self, world: &World, nth: usize) -> Result<()> {
        self.start_and_kill_before(world, LINK_UPDATE, nth)
    }

    /// The same before its `nth` call of `bpf` with a command.
    pub fn start_and_kill_before(&mut self, world: &World, command: u64, nth: usize) -> Result<()> {
        let config = self.config();
        let config = config.to_str().context("a path of ours is text")?;
        self.process = world.start(
            &self.name,
            &self.namespace,
            program("lbd")?,
            &["edge", "--config", config],
        )?;
        let pid = self.process.borrow().pid();
        let killed = kill_before(pid, command, nth);
        self.process.borrow_mut().kill();
        killed.with_context(|| self.log())
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.process.borrow_mut().kill();
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&self) -> Result<ExitStatus> {
        self.process.borrow_mut().terminate(START)
    }

    /// How nice its threads of a name are to others, 0 to 19.
    pub fn niceness(&self, name: &str) -> Result<Vec<i32>> {
        let mut found = Vec::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.process.borrow().pid()))? {
            let stat = fs::read_to_string(thread?.path().join("stat"))?;
            // The name is in brackets, and may have any character; the niceness is the 17th field behind it.
            let (named, fields) = stat.rsplit_once(')').context("a name in brackets")?;
            if named.split_once('(').is_some_and(|(_, of)| of == name) {
                let nice = fields.split_whitespace().nth(16).context("a niceness")?;
                found.push(nice.parse()?);
            }
        }
        Ok(found)
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

/// `lbd guard` beside an edge.
pub struct Guard {
    process: Rc<RefCell<Process>>,
}

impl Guard {
    /// Starts it with the edge's configuration, and waits until it is ready.
    pub fn start(world: &World, edge: &Edge) -> Result<Guard> {
        let name = format!("{}-guard", edge.name);
        let (process, _) = launch(world, &name, &edge.namespace, "guard", &edge.config())?;
        Ok(Guard { process })
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.borrow().log()
    }
}

/// `lbd agent` for the instances of a topology, in the router's network namespace: their host's.
pub struct Agent {
    config: PathBuf,
    edges: Vec<String>,
    vips: Vec<IpAddr>,
    process: Rc<RefCell<Process>>,
}

impl Agent {
    /// Starts it for these VIPs, and waits until it is ready. It trusts the whole fabric, as edges and as peers.
    pub fn start(world: &World, topology: &Topology, vips: &[IpAddr]) -> Result<Agent> {
        Agent::start_for_edges(world, topology, vips, &Topology::FABRIC)
    }

    /// Starts one that takes encapsulated packets from these prefixes only.
    pub fn start_for_edges(
        world: &World,
        topology: &Topology,
        vips: &[IpAddr],
        edges: &[&str],
    ) -> Result<Agent> {
        let config = world.directory().join("agent.toml");
        let edges: Vec<String> = edges.iter().map(|edge| (*edge).to_owned()).collect();
        fs::write(
            &config,
            agent_config(world, &topology.instances, vips, &edges),
        )?;
        let (process, _) = launch(world, "agent", &topology.router, "agent", &config)?;
        Ok(Agent {
            config,
            edges,
            vips: vips.to_vec(),
            process,
        })
    }

    /// Starts one agent with the rest of a configuration that `text` gives: edges and instances.
    pub fn start_with(world: &World, host: &Namespace, text: &str) -> Result<Agent> {
        Agent::start_named(world, "agent", host, text)
    }

    /// Starts one of several in a world.
    pub fn start_named(world: &World, name: &str, host: &Namespace, text: &str) -> Result<Agent> {
        let config = world.directory().join(format!("{name}.toml"));
        fs::write(&config, format!("{}{text}", agent_places(world, name)))?;
        let (process, _) = launch(world, name, host, "agent", &config)?;
        Ok(Agent {
            config,
            edges: Vec::new(),
            vips: Vec::new(),
            process,
        })
    }

    /// Scrapes its metrics, which it serves in `host`, where it was started.
    pub fn metrics(host: &Namespace) -> Result<String> {
        host.curl(&format!("http://{AGENT_METRICS}/metrics"))
    }

    /// How many packets met a reason, over all its instances; `host` is where it was started.
    pub fn counted(host: &Namespace, reason: &str) -> Result<u64> {
        let metrics = Agent::metrics(host)?;
        let of_reason = format!("reason=\"{reason}\"}} ");
        let samples = metrics.lines().filter_map(|line| {
            let (_, packets) = line.split_once(&of_reason)?;
            line.starts_with("lb_agent_packets_total")
                .then_some(packets)
        });
        samples
            .map(|packets| packets.parse::<u64>().context("no count"))
            .sum()
    }

    /// Where it pins the programs of an instance.
    pub fn pins(world: &World, instance: &str) -> PathBuf {
        world.bpffs().join("agent").join("v1").join(instance)
    }

    /// Tells it about instances that were added to the topology: a restart with a new configuration.
    pub fn reload(&mut self, world: &World, topology: &Topology) -> Result<()> {
        self.process.borrow_mut().terminate(START)?;
        fs::write(
            &self.config,
            agent_config(world, &topology.instances, &self.vips, &self.edges),
        )?;
        self.start_again(world, topology)
    }

    /// Starts it again, after it was killed, with the same configuration.
    pub fn start_again(&mut self, world: &World, topology: &Topology) -> Result<()> {
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
    let config = config.to_str().context("a path of ours is text")?;
    let arguments = [role, "--config", config].map(str::to_owned);
    launch_with(world, name, namespace, &arguments)
}

/// The same with any arguments.
pub(crate) fn launch_with(
    world: &World,
    name: &str,
    namespace: &Namespace,
    arguments: &[String],
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
    let lbd = text(&world.lbd()?)?;
    let mut all = vec![socket.as_str(), &lbd];
    all.extend(arguments.iter().map(String::as_str));
    let process = world.start(name, namespace, "env", &all)?;
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
    let interface = match settings.contains("interfaces =") {
        true => "",
        false => "interface = \"eth0\"\n",
    };
    // The edge of a test has its default route on the interface that it balances on.
    format!(
        "version = 1\n\
         {interface}\
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

fn agent_places(world: &World, name: &str) -> String {
    let pins = world.bpffs().join(name);
    format!(
        "version = 1\npin_dir = \"{}\"\nmetrics_listen = \"{AGENT_METRICS}\"\n",
        pins.display()
    )
}

fn agent_config(
    world: &World,
    instances: &[Instance],
    vips: &[IpAddr],
    edges: &[String],
) -> String {
    let mut text = format!(
        "{}edges = {edges:?}\npeers = {:?}\n",
        agent_places(world, "agent"),
        Topology::FABRIC
    );
    let vips: Vec<String> = vips.iter().map(IpAddr::to_string).collect();
    for Instance {
        name, namespace, ..
    } in instances
    {
        let path = namespace.path();
        text.push_str(&format!(
            "[[instance]]\nname = \"{name}\"\nnetns = \"{}\"\nvips = {vips:?}\n",
            path.display()
        ));
    }
    text
}
