//! The bench of the control side measures what it says that it measures, with small numbers; how fast that is, no test
//! can tell.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use testbed::{program, wait_for};

const PATIENCE: Duration = Duration::from_secs(20);

fn bench(cases: &[&str]) -> Result<Vec<Value>> {
    let output = Command::new(program("control_bench")?)
        .args(cases)
        .args(["--json", "--small"])
        .output()
        .context("cannot start the bench")?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout)?;
    let lines = lines.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.collect::<Result<_, _>>()?;
    let names: Vec<_> = lines.iter().map(|line| &line["case"]).collect();
    assert_eq!(names, cases);
    for line in &lines {
        assert_eq!(line["timed_out"], false, "{line}");
        for count in ["services", "backends"] {
            assert!(
                line[count].as_u64().is_some_and(|count| count > 0),
                "{line}"
            );
        }
        assert!(
            line["cpu_ms"].is_number() && line["saves"].is_u64(),
            "{line}"
        );
        for missing in [
            "not_seen",
            "relapsed",
            "moved",
            "moved_flows",
            "lost",
            "refused",
            "failed_looks",
            "errors",
        ] {
            assert!(
                matches!(line[missing].as_f64(), None | Some(0.0)),
                "{missing}: {line}"
            );
        }
    }
    Ok(lines)
}

/// A figure of a line.
fn figure(line: &Value, name: &str) -> Result<f64> {
    line[name]
        .as_f64()
        .with_context(|| format!("no {name} in {line}"))
}

/// The median and the 99th percentile, which are times of this world.
fn times(line: &Value) -> Result<(f64, f64)> {
    let (p50, p99) = (figure(line, "p50_ms")?, figure(line, "p99_ms")?);
    ensure!(p50 <= p99 && p99 < 60_000.0, "{line}");
    Ok((p50, p99))
}

#[test]
fn a_storm_is_measured_from_the_probe_that_failed_last() -> Result<()> {
    let lines = bench(&["storm_500", "storm_back_500"])?;
    let (p50, _) = times(&lines[0])?;
    ensure!(
        p50 > 0.0,
        "a table came before the probe had failed: {}",
        lines[0]
    );
    // Three probes a second apart, up to a tenth early, and the last one's timeout.
    let from_death = figure(&lines[0], "from_death_p50_ms")?;
    ensure!(from_death > 2_200.0, "{}", lines[0]);
    ensure!(lines[0]["saves"].as_u64() > Some(0), "{}", lines[0]);
    // The second of two probes, which are an interval apart.
    let (p50, _) = times(&lines[1])?;
    ensure!(p50 > 850.0, "{}", lines[1]);
    Ok(())
}

#[test]
fn changes_are_measured_to_the_table_and_to_the_answer() -> Result<()> {
    for line in bench(&["change", "change_512", "change_4096"])? {
        let (p50, _) = times(&line)?;
        ensure!(p50 > 0.0, "{line}");
        assert_eq!(figure(&line, "changes")?, 20.0);
        // Saved before it is answered: each by itself.
        assert_eq!(line["saves"], 20);
        for name in ["reply_p50_ms", "fsync_p50_ms"] {
            ensure!(figure(&line, name)? > 0.0, "{line}");
        }
    }
    Ok(())
}

#[test]
fn starts_and_restarts_are_measured_to_readiness() -> Result<()> {
    let cases = [
        "start_512",
        "start_4096",
        "restart_512",
        "restart_announced_512",
    ];
    for line in bench(&cases)? {
        let (p50, p99) = times(&line)?;
        ensure!(p50 == p99 && p50 > 0.0, "{line}");
    }
    Ok(())
}

#[test]
fn looks_checks_and_events_are_counted() -> Result<()> {
    let lines = bench(&[
        "looks_50",
        "checks_32767",
        "checks_shared_2000",
        "events_512",
    ])?;
    let [looks, checks, shared, events] = &lines[..] else {
        anyhow::bail!("{lines:?}");
    };
    ensure!(figure(looks, "looks")? > 100.0, "{looks}");
    ensure!(figure(looks, "without_p99_ms")? > 0.0, "{looks}");
    assert_eq!(checks["backends"], 255);
    assert_eq!(figure(checks, "known")?, 255.0);
    // Each once a second, up to a tenth early; what the machine's load delays is fewer.
    let per_s = figure(checks, "probes_per_s")?;
    ensure!((100.0..=290.0).contains(&per_s), "{checks}");
    ensure!(figure(shared, "probes_per_host_s")? > 0.4, "{shared}");
    assert_eq!(shared["p99_ms"], Value::Null);
    assert_eq!(figure(events, "events")?, 400.0);
    times(events)?;
    Ok(())
}

#[test]
fn a_case_that_does_not_exist_is_refused_with_those_that_do() -> Result<()> {
    let output = Command::new(program("control_bench")?)
        .arg("storm")
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success());
    ensure!(
        said.contains("there is no case storm: choose among storm_500, "),
        "{said}"
    );
    Ok(())
}

#[test]
fn an_interrupted_bench_leaves_nothing() -> Result<()> {
    let disk = tempfile::tempdir()?;
    let entries = || -> Result<usize> { Ok(fs::read_dir(disk.path())?.count()) };
    let mut bench = Command::new(program("control_bench")?)
        .args(["looks_50", "--small", "--disk"])
        .arg(disk.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let daemons = || daemons_below(disk.path());
    wait_for("the daemon to save its state", PATIENCE, || {
        ensure!(
            !daemons()?.is_empty(),
            "no daemon has its configuration there"
        );
        Ok(())
    })?;
    kill(Pid::from_raw(bench.id().try_into()?), Signal::SIGINT)?;
    ensure!(
        !bench.wait()?.success(),
        "an interrupted bench says that all is well"
    );
    assert_eq!(entries()?, 0);
    wait_for("the daemon to end", PATIENCE, || {
        let left = daemons()?;
        ensure!(left.is_empty(), "{left:?} still run");
        Ok(())
    })
}

/// Processes that were given a path below a directory.
fn daemons_below(directory: &std::path::Path) -> Result<Vec<String>> {
    let directory = directory.to_str().context("a path of ours is text")?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        // Gone meanwhile, or no process at all.
        let Ok(line) = fs::read(entry?.path().join("cmdline")) else {
            continue;
        };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(directory) && line.contains("edge --config") {
            found.push(line);
        }
    }
    Ok(found)
}
