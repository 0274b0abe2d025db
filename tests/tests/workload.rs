//! `lbctl workload` against the real sites of two cities.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::{Deployment, Runs, World, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);

// Promise: F5
#[test]
fn what_is_wrong_is_named_with_line_and_column_and_nothing_is_started() -> Result<()> {
    let world = World::new()?;
    let two = Deployment::start(&world, Runs::Builtin)?;
    let whole = two.text(1);
    let changed = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from:?} is not in the file");
        whole.replacen(from, to, 1)
    };
    let port = "port {\n      name = \"again\"\n      port = 8000\n      protocol = \"TCP\"\n    }\n    port {";
    for (text, place, words) in [
        (changed("\"DFW\"", "\"LAX\""), "main.tf:32:26:", "LAX"),
        (
            changed(
                "min_replicas     = 1",
                "min_replicas     = 3\n    max_replicas = 2",
            ),
            "main.tf:28:",
            "max_replicas",
        ),
        (
            changed("\"web:1\"", "var.image"),
            "main.tf:8:",
            "there is no variable \"image\"",
        ),
        (
            changed("\"web\"\n  ann", "\"No Label\"\n  ann"),
            "main.tf:3:",
            "slug",
        ),
        (
            format!(
                "{whole}{}",
                whole.replace("workload\" \"web\"", "workload\" \"other\"")
            ),
            "main.tf:38:",
            "slug",
        ),
        (
            changed("port {", port),
            "main.tf:17:",
            "8000/tcp is there already",
        ),
        (
            changed("= \"web\"\n  slug", "=\n  slug"),
            "main.tf:2:",
            "expected",
        ),
    ] {
        two.write(&text)?;
        two.refused(&["apply", "--yes"], 1, &[place, words])?;
    }
    two.write(&whole)?;
    let empty = world.directory().join("empty-pool.toml");
    let fleet = fs::read_to_string(&two.fleet.file)?;
    let (head, rest) = fleet.split_once("[vip_pool]").context("a pool")?;
    let (_, sites) = rest.split_once("[[site]]").context("a site")?;
    fs::write(&empty, format!("{head}[[site]]{sites}"))?;
    let said = two
        .command(&empty, &["apply", "--yes"])?
        .output()
        .context("cannot start lbctl")?;
    let error = String::from_utf8_lossy(&said.stderr);
    ensure!(
        said.status.code() == Some(1) && error.contains("empty-pool.toml:"),
        "{said:?}"
    );
    ensure!(two.state().is_empty(), "a state was written");
    two.nothing_started()
}

// Promise: F5
#[test]
fn an_image_that_is_nowhere_is_named_with_line_and_column_and_nothing_is_started() -> Result<()> {
    let world = World::new()?;
    let two = Deployment::start(&world, Runs::Docker)?;
    fs::remove_file(two.directory().join("Dockerfile"))?;
    two.write(&two.text(1).replace("web:1", "localhost:1/nowhere:1"))?;
    let words = [
        "main.tf:8:15: `container[0].image`",
        "\"localhost:1/nowhere:1\" is not to be had in DFW",
        "expected an image of its store",
    ];
    two.refused(&["apply", "--yes"], 1, &words)?;
    ensure!(two.state().is_empty(), "a state was written");
    two.nothing_started()
}

// Promise: F5
#[test]
fn a_workload_is_applied_once_by_one_at_a_time_and_destroyed() -> Result<()> {
    let world = World::new()?;
    let two = Deployment::start(&world, Runs::Builtin)?;
    two.write(&two.text(1))?;
    let plan = two.ok(&["plan"])?;
    ensure!(plan.contains("web will be created"), "{plan}");
    two.refused(&["apply"], 6, &["--yes"])?;
    two.nothing_started()?;

    // The first one waits for instances when the second one comes.
    let mut first = two.command(&two.fleet.file, &["apply", "--yes"])?;
    let first = first.stdout(Stdio::piped()).spawn()?;
    let pid = first.id();
    wait_for("the first to apply", PATIENCE, || {
        ensure!(two.state().contains("\"pending\": \"apply\""), "not yet");
        Ok(())
    })?;
    let refusal = format!("process {pid} is applying or destroying here");
    two.refused(&["apply", "--yes"], 5, &[&refusal])?;
    two.refused(&["destroy", "--yes"], 5, &[&refusal])?;
    let applied = first.wait_with_output()?;
    ensure!(applied.status.success(), "{applied:?}");
    let applied = String::from_utf8_lossy(&applied.stdout);
    ensure!(applied.contains("vip = 198.51.100."), "{applied}");
    ensure!(applied.contains("web-global-sea-0 serving"), "{applied}");
    let again = two.ok(&["apply", "--yes"])?;
    ensure!(again.contains("No changes."), "{again}");
    let status = two.ok(&["status"])?;
    ensure!(status.contains("web-global-dfw-0"), "{status}");

    two.sites[1].kill();
    two.refused(&["plan"], 3, &["DFW"])?;
    two.sites[1].start_again(&world)?;
    let destroyed = two.ok(&["destroy", "--yes"])?;
    ensure!(destroyed.contains("Destroyed: 1"), "{destroyed}");
    two.nothing_started()
}
