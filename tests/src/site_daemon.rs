//! The real `lbd site` on a city's host.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result};
use balancer_api::client::Client;
use balancer_api::site_api::client::SiteClient;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lb::launch_with;
use crate::{Namespace, Process, Staffed, World};

/// `lbd site` of a city.
pub struct SiteDaemon {
    city: String,
    name: String,
    host: Namespace,
    arguments: Vec<String>,
    socket: PathBuf,
    state: PathBuf,
    process: RefCell<Rc<RefCell<Process>>>,
}

impl SiteDaemon {
    /// Starts it with further arguments, and waits until it is ready.
    pub fn start(
        world: &World,
        staffed: &Staffed,
        fleet: &Path,
        further: &[&str],
    ) -> Result<SiteDaemon> {
        let city = staffed.city.code.to_owned();
        let name = format!("site-{}", city.to_lowercase());
        let text = |path: &Path| -> Result<String> {
            let text = path.to_str().context("a path of ours is text")?;
            Ok(text.to_owned())
        };
        let state = world.directory().join(format!("{name}-state"));
        let mut arguments = vec![
            "site".to_owned(),
            "--fleet".to_owned(),
            text(fleet)?,
            "--city".to_owned(),
            city.clone(),
            "--state-dir".to_owned(),
            text(&state)?,
        ];
        arguments.extend(further.iter().map(|argument| (*argument).to_owned()));
        let host = staffed.city.host.clone();
        let (process, _) = launch_with(world, &name, &host, &arguments)?;
        Ok(SiteDaemon {
            city,
            name,
            host,
            arguments,
            state,
            socket: staffed.site_socket(world),
            process: RefCell::new(process),
        })
    }

    /// Its city's code.
    pub fn city(&self) -> &str {
        &self.city
    }

    /// Starts it again, after it was killed.
    pub fn start_again(&self, world: &World) -> Result<()> {
        let (process, _) = launch_with(world, &self.name, &self.host, &self.arguments)?;
        self.process.replace(process);
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.process.borrow().borrow_mut().kill();
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.borrow().borrow().log()
    }

    /// Asks it.
    pub fn client(&self) -> SiteClient {
        SiteClient::new(Client::new(self.socket.clone()))
    }
}

/// Instances that are processes outlive their daemon, but not its test.
impl Drop for SiteDaemon {
    fn drop(&mut self) {
        self.kill();
        for supervisor in supervisors(&self.state) {
            // Its containers are in its session; what is gone already is gone.
            for pid in members(supervisor) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

/// The processes that supervise instances below this directory, which is this test's own.
fn supervisors(state: &Path) -> Vec<i32> {
    let place = state.display().to_string();
    let supervises = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("\0supervise\0") && line.contains(&place)
    };
    pids().filter(supervises).collect()
}

/// A process and its descendants.
fn members(first: i32) -> Vec<i32> {
    let mut members = vec![first];
    let parents: Vec<(i32, i32)> = pids().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut next = 0;
    while next < members.len() {
        let of = members[next];
        let children = parents.iter().filter(|(_, parent)| *parent == of);
        members.extend(children.map(|(pid, _)| *pid));
        next += 1;
    }
    members
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the last parenthesis may hold anything.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
