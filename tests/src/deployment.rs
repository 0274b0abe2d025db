//! Two cities whose sites run, and an operator's workload file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::{Cities, Fleet, Reply, Runs, SiteDaemon, World, image_context, program};

/// The state that `lbctl workload` keeps beside the workload file.
const STATE: &str = "balancer.state.json";

/// Fleet, sites, and a directory with `main.tf` in it.
pub struct Deployment {
    /// Everything that runs in the cities but the sites.
    pub fleet: Fleet,
    /// Seattle's and Dallas's.
    pub sites: Vec<SiteDaemon>,
    directory: PathBuf,
    command: String,
}

/// Makes the directory that a workload file goes to, with a Dockerfile in it for containers; and the command of the web
/// server in its instances.
pub fn workload_directory(world: &World, runs: Runs) -> Result<(PathBuf, String)> {
    let (directory, command) = match runs {
        Runs::Docker => {
            image_context(world)?;
            (world.directory().join("image"), "/instance".to_owned())
        }
        Runs::Builtin => {
            let server = program("instance")?;
            let server = server.to_str().context("a path of ours is text")?;
            (world.directory().join("workload"), server.to_owned())
        }
    };
    fs::create_dir_all(&directory)?;
    Ok((directory, command))
}

impl Deployment {
    /// Starts it all; there is no workload file yet.
    pub fn start(world: &World, runs: Runs) -> Result<Deployment> {
        let cities = Cities::build(world)?;
        let fleet = Fleet::start(world, &cities, runs)?;
        let start = |staffed| SiteDaemon::start(world, staffed, &fleet.file, &[]);
        let sites = vec![start(&fleet.sea)?, start(&fleet.dfw)?];
        let (directory, command) = workload_directory(world, runs)?;
        Ok(Deployment {
            fleet,
            sites,
            directory,
            command,
        })
    }

    /// Where the workload file and the state file are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The workload file.
    pub fn file(&self) -> PathBuf {
        self.directory.join("main.tf")
    }

    /// Writes the workload file.
    pub fn write(&self, text: &str) -> Result<()> {
        fs::write(self.file(), text).context("cannot write the workload file")
    }

    /// The state file's text; empty while there is none.
    pub fn state(&self) -> String {
        fs::read_to_string(self.directory.join(STATE)).unwrap_or_default()
    }

    /// A workload `web` of so many instances in each city.
    pub fn text(&self, min_replicas: usize) -> String {
        let command = &self.command;
        format!(
            r#"resource "stackpath_compute_workload" "web" {{
  name = "web"
  slug = "web"
  annotations = {{ "anycast.platform.stackpath.net" = "true" }}
  network_interface {{ network = "default" }}
  container {{
    name    = "app"
    image   = "web:1"
    command = ["{command}", "--port", "8000"]
    port {{
      name     = "http"
      port     = 8000
      protocol = "TCP"
      enable_implicit_network_policy = true
    }}
    resources {{ requests = {{ "cpu" = "100m", "memory" = "64Mi" }} }}
    readiness_probe {{
      http_get {{
        path = "/"
        port = 8000
      }}
      period_seconds = 1
    }}
  }}
  target {{
    name             = "global"
    min_replicas     = {min_replicas}
    deployment_scope = "cityCode"
    selector {{
      key      = "cityCode"
      operator = "in"
      values   = ["SEA", "DFW"]
    }}
  }}
}}
"#
        )
    }

    /// `lbctl workload` with this fleet file, to be started.
    pub fn command(&self, fleet: &Path, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("lbctl")?);
        command
            .arg("workload")
            .args(arguments)
            .arg("-f")
            .arg(self.file())
            .arg("--fleet")
            .arg(fleet)
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Runs `lbctl workload`.
    pub fn lbctl(&self, arguments: &[&str]) -> Result<Reply> {
        Reply::of(&mut self.command(&self.fleet.file, arguments)?)
    }

    /// Runs `lbctl workload`, which must succeed; its standard output.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        let reply = self.lbctl(arguments)?;
        ensure!(reply.code == 0, "{arguments:?}: {reply:?}");
        Ok(reply.stdout)
    }

    /// Runs `lbctl workload`, which must end with this code and an error that contains these words.
    pub fn refused(&self, arguments: &[&str], code: i32, words: &[&str]) -> Result<()> {
        let reply = self.lbctl(arguments)?;
        ensure!(reply.code == code, "{arguments:?}: {reply:?}");
        for word in words {
            ensure!(reply.stderr.contains(word), "{word:?} is not in {reply:?}");
        }
        Ok(())
    }

    /// Fails if an edge has a service.
    pub fn nothing_started(&self) -> Result<()> {
        for staffed in [&self.fleet.sea, &self.fleet.dfw] {
            let services = staffed.edge.services()?;
            ensure!(services.is_empty(), "{services:?}");
        }
        Ok(())
    }
}
