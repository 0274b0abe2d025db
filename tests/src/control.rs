//! `lbctl` against an edge, and `lbd` when it is not to stay.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use balancer_api::views::{BackendView, ServiceView, StatusView};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Edge, Namespace, patient, program};

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
    /// Runs it to its end, without input.
    pub(crate) fn of(command: &mut Command) -> Result<Reply> {
        Reply::wait(start(command)?)
    }

    fn wait(command: Child) -> Result<Reply> {
        let done = command.wait_with_output()?;
        Ok(Reply {
            code: done.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
        })
    }
}

/// How long a run of `lbd` may take that is to end by itself.
const END: Duration = Duration::from_secs(20);

/// Runs `lbd` in a namespace to its end, which has to come soon: exit code 124 if it does not.
pub fn lbd(namespace: &Namespace, arguments: &[&str]) -> Result<Reply> {
    lbd_as(namespace, &[], arguments)
}

/// The same, behind another command, such as one that gives up rights.
pub fn lbd_as(namespace: &Namespace, wrapper: &[&str], arguments: &[&str]) -> Result<Reply> {
    let mut command = namespace.command("timeout");
    command
        .args(["--kill-after=1", &patient(END).as_secs().to_string()])
        .args(wrapper)
        .arg(program("lbd")?)
        .args(arguments)
        .env("NO_COLOR", "1");
    Reply::of(&mut command)
}

impl Edge {
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

    /// The generation of its desired state.
    pub fn generation(&self) -> Result<u64> {
        Ok(self.status()?.generation)
    }

    /// Whether it found its program running when it started, and kept it.
    pub fn took_over(&self) -> Result<bool> {
        Ok(self.status()?.taken_over)
    }

    /// Runs `lbctl` against it, whatever comes of it.
    pub fn lbctl(&self, arguments: &[&str]) -> Result<Reply> {
        Reply::of(&mut self.lbctl_command(&[], arguments)?)
    }

    /// The same, behind another command, such as one that gives up rights.
    pub fn lbctl_as(&self, wrapper: &[&str], arguments: &[&str]) -> Result<Reply> {
        Reply::of(&mut self.lbctl_command(wrapper, arguments)?)
    }

    /// Runs one `lbctl` for each of these, all at the same time.
    pub fn lbctl_at_once(&self, commands: &[Vec<&str>]) -> Result<Vec<Reply>> {
        let started: Vec<Child> = commands
            .iter()
            .map(|arguments| start(&mut self.lbctl_command(&[], arguments)?))
            .collect::<Result<_>>()?;
        started.into_iter().map(Reply::wait).collect()
    }

    fn lbctl_command(&self, wrapper: &[&str], arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new("env");
        command
            .args(wrapper)
            .arg(program("lbctl")?)
            .arg("--socket")
            .arg(self.socket())
            .args(arguments);
        Ok(command)
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
}

fn start(command: &mut Command) -> Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {:?}", command.get_program()))
}
