//! `lbctl workload` against the real sites of two cities.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testbed::{Cities, Fleet, Runs, SiteDaemon, World, program};

/// What `lbctl workload` said, and its exit code.
struct Said {
    code: i32,
    out: String,
    err: String,
}

/// Two sites, and a directory with a workload file.
struct Stage {
    fleet: Fleet,
    sites: Vec<SiteDaemon>,
    directory: PathBuf,
}

impl Stage {
    fn set(world: &World) -> Result<Stage> {
        let cities = Cities::build(world)?;
        let fleet = Fleet::start(world, &cities, Runs::Builtin)?;
        let start = |staffed| SiteDaemon::start(world, staffed, &fleet.file, &[]);
        let sites = vec![start(&fleet.sea)?, start(&fleet.dfw)?];
        let directory = world.directory().join("workload");
        fs::create_dir_all(&directory)?;
        Ok(Stage {
            fleet,
            sites,
            directory,
        })
    }

    fn file(&self) -> PathBuf {
        self.directory.join("main.tf")
    }

    fn lbctl(&self, fleet: &Path, arguments: &[&str]) -> Result<Said> {
        let done = Command::new(program("lbctl")?)
            .arg("workload")
            .args(arguments)
            .arg("-f")
            .arg(self.file())
            .arg("--fleet")
            .arg(fleet)
            .stdin(std::process::Stdio::null())
            .output()?;
        Ok(Said {
            code: done.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&done.stdout).into_owned(),
            err: String::from_utf8_lossy(&done.stderr).into_owned(),
        })
    }

    fn ok(&self, arguments: &[&str]) -> Result<String> {
        let said = self.lbctl(&self.fleet.file, arguments)?;
        ensure!(
            said.code == 0,
            "{arguments:?}: {} {} {}",
            said.code,
            said.out,
            said.err
        );
        Ok(said.out)
    }

    /// That a command is refused with this code and these words, and no service is at any edge.
    fn refused(&self, arguments: &[&str], code: i32, words: &[&str]) -> Result<()> {
        let said = self.lbctl(&self.fleet.file, arguments)?;
        ensure!(
            said.code == code,
            "{arguments:?}: {} {} {}",
            said.code,
            said.out,
            said.err
        );
        for word in words {
            ensure!(said.err.contains(word), "{word:?} is not in {}", said.err);
        }
        Ok(())
    }

    fn nothing_started(&self) -> Result<()> {
        for staffed in [&self.fleet.sea, &self.fleet.dfw] {
            let services = staffed.edge.services()?;
            ensure!(services.is_empty(), "{services:?}");
        }
        Ok(())
    }
}

/// A workload file of one instance in each city.
fn text() -> Result<String> {
    let server = program("instance")?;
    let server = server.to_str().context("a path of ours is text")?;
    Ok(format!(
        r#"resource "stackpath_compute_workload" "web" {{
  name = "web"
  slug = "web"
  annotations = {{ "anycast.platform.stackpath.net" = "true" }}
  network_interface {{ network = "default" }}
  container {{
    name    = "app"
    image   = "web:1"
    command = ["{server}", "--port", "8000"]
    port {{
      name     = "http"
      port     = 8000
      protocol = "TCP"
      enable_implicit_network_policy = true
    }}
    resources {{ requests = {{ "cpu" = "100m", "memory" = "64Mi" }} }}
  }}
  target {{
    name             = "global"
    min_replicas     = 1
    deployment_scope = "cityCode"
    selector {{
      key      = "cityCode"
      operator = "in"
      values   = ["SEA", "DFW"]
    }}
  }}
}}
"#
    ))
}

#[test]
fn what_is_wrong_is_named_with_line_and_column_and_nothing_is_started() -> Result<()> {
    let world = World::new()?;
    let stage = Stage::set(&world)?;
    let whole = text()?;
    for (from, to, place, words) in [
        ("\"DFW\"", "\"LAX\"", "main.tf:25:", "LAX"),
        (
            "min_replicas     = 1",
            "min_replicas     = 3\n    max_replicas = 2",
            "main.tf:",
            "max_replicas",
        ),
        (
            "image   = \"web:1\"",
            "image   = var.image",
            "main.tf:8:",
            "image",
        ),
        (
            "slug = \"web\"",
            "slug = \"No Label\"",
            "main.tf:3:",
            "slug",
        ),
        ("= \"web\"\n  slug", "=\n  slug", "main.tf:", "main.tf"),
    ] {
        ensure!(whole.contains(from), "{from:?} is not in the file");
        fs::write(stage.file(), whole.replacen(from, to, 1))?;
        stage.refused(&["apply", "--yes"], 1, &[place, words])?;
    }
    fs::write(stage.file(), &whole)?;
    let empty = world.directory().join("empty-pool.toml");
    let fleet = fs::read_to_string(&stage.fleet.file)?;
    let (head, rest) = fleet.split_once("[vip_pool]").context("a pool")?;
    let (_, sites) = rest.split_once("[[site]]").context("a site")?;
    fs::write(&empty, format!("{head}[[site]]{sites}"))?;
    let said = stage.lbctl(&empty, &["apply", "--yes"])?;
    ensure!(
        said.code == 1 && said.err.contains("empty-pool.toml:"),
        "{} {}",
        said.code,
        said.err
    );
    ensure!(
        !stage.directory.join("balancer.state.json").exists(),
        "a state was written"
    );
    stage.nothing_started()
}

#[test]
fn a_workload_is_applied_once_by_one_at_a_time_and_destroyed() -> Result<()> {
    let world = World::new()?;
    let stage = Stage::set(&world)?;
    fs::write(stage.file(), text()?)?;
    let plan = stage.ok(&["plan"])?;
    ensure!(plan.contains("web will be created"), "{plan}");
    stage.refused(&["apply"], 6, &["--yes"])?;
    stage.nothing_started()?;

    let lock = File::create(stage.directory.join(".balancer.state.lock"))?;
    lock.lock()?;
    stage.refused(&["apply", "--yes"], 5, &["is applying or destroying here"])?;
    drop(lock);
    stage.nothing_started()?;

    let applied = stage.ok(&["apply", "--yes"])?;
    ensure!(applied.contains("vip = 198.51.100."), "{applied}");
    ensure!(applied.contains("web-global-sea-0 serving"), "{applied}");
    let again = stage.ok(&["apply", "--yes"])?;
    ensure!(again.contains("No changes."), "{again}");
    let status = stage.ok(&["status"])?;
    ensure!(status.contains("web-global-dfw-0"), "{status}");

    // One that was interrupted before it was noted as done is finished by the next.
    let state = stage.directory.join("balancer.state.json");
    let noted = fs::read_to_string(&state)?;
    fs::write(
        &state,
        noted.replace("\"pending\": null", "\"pending\": \"apply\""),
    )?;
    stage.ok(&["apply", "--yes"])?;
    ensure!(
        fs::read_to_string(&state)?.contains("\"pending\": null"),
        "it is pending still"
    );

    stage.sites[1].kill();
    stage.refused(&["plan"], 3, &["DFW"])?;
    stage.sites[1].start_again(&world)?;
    let destroyed = stage.ok(&["destroy", "--yes"])?;
    ensure!(destroyed.contains("Destroyed: 1"), "{destroyed}");
    stage.nothing_started()
}
