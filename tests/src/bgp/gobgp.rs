//! A running GoBGP, whose gRPC interface is on 127.0.0.1:50051 of its namespace.

use std::cell::RefCell;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Neighbour;
use super::programs::speaker;
use crate::{Namespace, Process, World, wait_for};

/// How long it may take to listen.
const START: Duration = Duration::from_secs(30);

/// GoBGP 3 in a namespace.
pub struct Gobgp {
    name: String,
    namespace: Namespace,
    config: PathBuf,
    process: Rc<RefCell<Process>>,
}

impl Gobgp {
    /// Where its gRPC interface is, inside its namespace.
    pub const API: &'static str = "127.0.0.1:50051";

    /// Starts it with sessions for IPv4 and IPv6 to these neighbours, who call; waits until it can be asked.
    pub fn start(
        world: &World,
        name: &str,
        namespace: &Namespace,
        router_id: Ipv4Addr,
        autonomous_system: u32,
        neighbours: &[Neighbour],
    ) -> Result<Gobgp> {
        let mut text =
            format!("[global.config]\nas = {autonomous_system}\nrouter-id = \"{router_id}\"\n");
        for Neighbour {
            address,
            autonomous_system,
            ..
        } in neighbours
        {
            text.push_str(&format!(
                "[[neighbors]]\n\
                 [neighbors.config]\nneighbor-address = \"{address}\"\npeer-as = {autonomous_system}\n\
                 [neighbors.transport.config]\npassive-mode = true\n\
                 [neighbors.timers.config]\nhold-time = 9\nkeepalive-interval = 3\n\
                 [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n\
                 [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv6-unicast\"\n"
            ));
        }
        let config = world.directory().join(format!("{name}.toml"));
        fs::write(&config, text)?;
        let process = launch(world, name, namespace, &config)?;
        Ok(Gobgp {
            name: name.to_owned(),
            namespace: namespace.clone(),
            config,
            process,
        })
    }

    /// Starts it again, after it was killed; it has forgotten all paths.
    pub fn start_again(&mut self, world: &World) -> Result<()> {
        self.process = launch(world, &self.name, &self.namespace, &self.config)?;
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.process.borrow_mut().kill();
    }

    /// It stands still, and with it its sessions, until [`Gobgp::resume`].
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// It goes on.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.process.borrow().pid().try_into()?);
        Ok(kill(pid, signal)?)
    }
}

fn launch(
    world: &World,
    name: &str,
    namespace: &Namespace,
    config: &std::path::Path,
) -> Result<Rc<RefCell<Process>>> {
    let program = speaker("gobgpd")?;
    let process = world.start(
        name,
        namespace,
        &program.program,
        &[
            "-f",
            &config.to_string_lossy(),
            "--api-hosts",
            Gobgp::API,
            "--pprof-disable",
        ],
    )?;
    let api: SocketAddr = Gobgp::API.parse()?;
    wait_for(&format!("{name} to listen"), START, || {
        ensure!(
            process.borrow_mut().is_running(),
            "it ended:\n{}",
            process.borrow().log_tail()
        );
        namespace.enter(|| TcpStream::connect(api).map(drop))??;
        Ok(())
    })?;
    Ok(process)
}
