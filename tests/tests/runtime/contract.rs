//! The contract, one promise a function.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use balancer_site::runtime::{InstanceSpec, Observed, RuntimeError, State};
use futures::StreamExt;
use testbed::wait_for;

use crate::bed::{Bed, instance, plain};

const SOON: Duration = Duration::from_secs(10);

fn address(seen: &Observed) -> String {
    seen.addresses.first().expect("an address").to_string()
}

fn answer(bed: &Bed, path: &str) -> Result<String> {
    let at = address(&bed.only());
    wait_for("an answer", SOON, || {
        bed.host.curl(&format!("http://{at}:8000{path}"))
    })
}

/// Waits until the log has a line.
fn said(bed: &Bed, name: &str, line: &str) {
    wait_for(line, SOON, || {
        let log = bed.log(name, None);
        ensure!(log.iter().any(|had| had == line), "{log:?}");
        Ok(())
    })
    .expect("a line in the log");
}

fn ended(bed: &Bed) -> (String, i32, u64) {
    wait_for("the end", SOON, || match bed.only().state {
        State::Exited {
            container,
            code,
            at_unix_ms,
        } => Ok((container, code, at_unix_ms)),
        other => anyhow::bail!("{other:?}"),
    })
    .expect("an end")
}

pub(crate) fn a_launched_instance_is_found_and_answers(bed: &Bed) {
    let spec = bed.web("web-global-sea-1");
    bed.launch(&spec).expect("launch");
    let seen = bed.only();
    assert_eq!(seen.name, "web-global-sea-1");
    assert_eq!(seen.labels, spec.labels);
    assert_eq!(seen.state, State::Running);
    assert_eq!(seen.restarts, 0);
    assert!(seen.netns.exists(), "{:?}", seen.netns);
    assert!(address(&seen).starts_with("10.77.0."), "{seen:?}");
    assert!(seen.started_unix_ms > 1_700_000_000_000, "{seen:?}");
    assert_eq!(answer(bed, "/").expect("answer"), "web-global-sea-1");
    // Again, it changes nothing.
    bed.launch(&spec).expect("launch again");
    assert_eq!(bed.only(), seen);
}

pub(crate) fn command_and_environment_are_the_containers_own(bed: &Bed) {
    let mut spec = bed.shell("one", "echo \"$GREETING from $0\"; exec sleep 1000");
    spec.containers[0]
        .env
        .insert("GREETING".to_owned(), "good day".to_owned());
    spec.containers[0].command.push("here".to_owned());
    let script = &mut spec.containers[0].command[2];
    *script = script.replace("sleep", &format!("{} sleep", bed.busybox));
    bed.launch(&spec).expect("launch");
    said(bed, "one", "main | good day from here");
}

pub(crate) fn requests_become_limits(bed: &Bed) {
    bed.launch(&bed.web("one")).expect("launch");
    if let Some(engine) = &bed.engine {
        let id = engine.containers().expect("containers")[0]["Id"]
            .as_str()
            .expect("id")
            .to_owned();
        let seen = engine
            .ask("GET", &format!("/v1.41/containers/{id}/json"))
            .expect("inspect");
        let seen: serde_json::Value = serde_json::from_str(&seen).expect("JSON");
        assert_eq!(seen["HostConfig"]["NanoCpus"], 500_000_000);
        assert_eq!(seen["HostConfig"]["Memory"], 64 << 20);
        return;
    }
    assert_eq!(bed.only().notes.len(), 1, "{:?}", bed.only().notes);
    let cgroup = bed.cgroup_of("one", "web");
    let value = |files: [&str; 2]| {
        files.iter().find_map(|file| {
            cgroup
                .iter()
                .find_map(|root| std::fs::read_to_string(root.join(file)).ok())
        })
    };
    let cpu = value(["cpu.max", "cpu.cfs_quota_us"]).expect("a limit of CPU");
    assert!(["50000 100000", "50000"].contains(&cpu.trim()), "{cpu}");
    let memory = value(["memory.max", "memory.limit_in_bytes"]).expect("a limit of memory");
    assert_eq!(memory.trim(), (64 << 20).to_string());
}

pub(crate) fn an_ended_instance_is_seen_with_its_code_and_restarted(bed: &Bed) {
    bed.launch(&bed.shell("one", "exit 7")).expect("launch");
    let (container, code, at) = ended(bed);
    assert_eq!((container.as_str(), code), ("main", 7));
    assert!(at > 1_700_000_000_000);
    bed.with(async |runtime| runtime.restart("one").await)
        .expect("restart");
    assert_eq!(bed.only().restarts, 1);
    assert_eq!(ended(bed).1, 7);
    bed.with(async |runtime| runtime.restart("one").await)
        .expect("restart");
    assert_eq!(bed.only().restarts, 2);
}

pub(crate) fn logs_are_followed_across_a_restart(bed: &Bed) {
    bed.launch(&bed.shell("one", "echo first; echo second; exit 3"))
        .expect("launch");
    said(bed, "one", "main | second");
    ended(bed);
    assert_eq!(bed.log("one", Some(1)), ["main | second"]);
    let lines = bed.with(async |runtime| {
        let mut lines = runtime.logs("one", Some(1), true).await?;
        let mut had = vec![lines.next().await.expect("a line")?.text];
        runtime.restart("one").await?;
        while had.len() < 3 {
            let next = tokio::time::timeout(SOON, lines.next())
                .await
                .expect("in time");
            had.push(next.expect("a line")?.text);
        }
        runtime.remove("one").await?;
        let last = tokio::time::timeout(SOON, lines.next())
            .await
            .expect("an end in time");
        assert!(last.is_none(), "{last:?}");
        Ok(had)
    });
    assert_eq!(lines.expect("lines"), ["second", "first", "second"]);
}

pub(crate) fn cpu_time_grows_with_work(bed: &Bed) {
    bed.launch(&bed.web("one")).expect("launch");
    answer(bed, "/").expect("answer");
    let used = || {
        bed.with(async |runtime| runtime.cpu_ns("one").await)
            .expect("CPU time")
    };
    let before = used();
    answer(bed, "/burn?ms=200").expect("burn");
    let grown = used() - before;
    assert!(
        (50_000_000..2_000_000_000).contains(&grown),
        "{grown} ns for 200 ms at half a CPU"
    );
    said(bed, "one", "web | GET /burn?ms=200");
}

pub(crate) fn removal_leaves_nothing_and_may_be_repeated(bed: &Bed) {
    let before = bed.host.run("ip", &["-brief", "link"]).expect("links");
    bed.launch(&bed.web("one")).expect("launch");
    answer(bed, "/").expect("answer");
    let netns = bed.only().netns;
    for _ in 0..2 {
        bed.with(async |runtime| runtime.remove("one").await)
            .expect("remove");
        assert_eq!(bed.list(), []);
    }
    // The engine leaves an empty file for a while.
    let mut enter = std::process::Command::new("nsenter");
    enter.arg(format!("--net={}", netns.display())).arg("true");
    assert!(!enter.status().expect("nsenter").success(), "{netns:?}");
    let after = bed.host.run("ip", &["-brief", "link"]).expect("links");
    let without_bridge: Vec<_> = after
        .lines()
        .filter(|line| !line.starts_with("lb0 "))
        .map(str::trim)
        .collect();
    assert_eq!(without_bridge, before.lines().collect::<Vec<_>>());
    match &bed.engine {
        Some(engine) => assert_eq!(engine.containers().expect("containers").len(), 0),
        None => {
            assert!(bed.cgroup_of("one", "web").is_empty());
            assert_eq!(
                std::fs::read_dir(bed.state_directory())
                    .expect("state")
                    .count(),
                0
            );
        }
    }
}

pub(crate) fn a_new_daemon_finds_everything_again(bed: &Bed) {
    bed.launch(&bed.web("one")).expect("launch");
    answer(bed, "/").expect("answer");
    bed.with(async |runtime| runtime.restart("one").await)
        .expect("restart");
    let seen = bed.only();
    bed.restart_daemon();
    assert_eq!(bed.only(), seen);
    assert_eq!(seen.restarts, 1);
    assert_eq!(answer(bed, "/").expect("answer"), "one");
}

pub(crate) fn an_interrupted_launch_is_made_whole_by_the_next(bed: &Bed) {
    let spec = bed.web("one");
    bed.interrupt(&spec);
    assert_eq!(bed.only().state, State::Incomplete);
    bed.launch(&spec).expect("launch");
    assert_eq!(bed.only().state, State::Running);
    assert_eq!(answer(bed, "/").expect("answer"), "one");
}

pub(crate) fn containers_of_an_instance_share_its_network(bed: &Bed) {
    let spec = instance(
        "one",
        vec![
            bed.serving("web", "one", 8000),
            bed.serving("side", "beside", 8001),
        ],
    );
    bed.launch(&spec).expect("launch");
    assert_eq!(answer(bed, "/").expect("answer"), "one");
    let at = address(&bed.only());
    let beside = wait_for("the second", SOON, || {
        bed.host.curl(&format!("http://{at}:8001/"))
    });
    assert_eq!(beside.expect("answer"), "beside");
    said(bed, "one", "side | GET /");
}

pub(crate) fn what_cannot_run_is_named_and_leaves_nothing(bed: &Bed) {
    let mut spec = instance(
        "one",
        vec![plain("main", vec!["/no/such/program".to_owned()])],
    );
    let error = bed.launch(&spec).expect_err("no such program");
    assert!(matches!(error, RuntimeError::NoCommand { .. }), "{error}");
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    assert_eq!(bed.list(), []);
    if bed.engine.is_some() {
        spec.containers[0].image = "no-such-image:9".to_owned();
        let error = bed.launch(&spec).expect_err("no such image");
        assert!(
            error.to_string().starts_with("image no-such-image:9: "),
            "{error}"
        );
        assert_eq!(bed.list(), []);
    }
}

pub(crate) fn another_specification_does_not_take_a_name(bed: &Bed) {
    bed.launch(&bed.web("one")).expect("launch");
    let mut other: InstanceSpec = bed.web("one");
    other.containers[0].cpu_millis += 1;
    let error = bed.launch(&other).expect_err("taken");
    assert!(matches!(error, RuntimeError::Exists { .. }), "{error}");
}

pub(crate) fn an_instance_takes_a_native_program(bed: &Bed) {
    bed.launch(&bed.web("one")).expect("launch");
    let netns = bed.only().netns;
    bed.native_xdp(&netns)
        .context("native XDP on eth0")
        .expect("attach");
    assert_eq!(answer(bed, "/").expect("answer"), "one");
}

/// What instances have in their neighbour tables must stay true.
pub(crate) fn the_gateway_keeps_its_mac_when_instances_come_and_go(bed: &Bed) {
    let mac = || {
        let said = bed
            .host
            .run("ip", &["-oneline", "link", "show", "dev", "lb0"])
            .expect("a bridge");
        let (_, mac) = said.split_once("link/ether ").expect("a MAC");
        mac.split(' ').next().expect("a MAC").to_owned()
    };
    bed.launch(&bed.web("one")).expect("launch");
    let with_one = mac();
    bed.launch(&bed.web("two")).expect("launch");
    bed.with(async |runtime| runtime.remove("one").await)
        .expect("remove");
    assert_eq!(mac(), with_one);
}

/// The lock of whoever started the daemon, say.
pub(crate) fn an_instance_holds_nothing_that_its_daemon_inherited(bed: &Bed) {
    let path = bed.world.directory().join("lock");
    let lock = std::fs::File::create(&path).expect("a file");
    let inherited = nix::unistd::dup(&lock).expect("one that children inherit");
    bed.launch(&bed.web("one")).expect("launch");
    answer(bed, "/").expect("answer");
    let held = |process: &std::path::Path| {
        let descriptors = std::fs::read_dir(process.join("fd")).into_iter().flatten();
        descriptors
            .flatten()
            .any(|one| std::fs::read_link(one.path()).is_ok_and(|leads| leads == path))
    };
    let runs = |process: &std::path::Path| {
        let program = std::fs::read_link(process.join("exe")).unwrap_or_default();
        let name = program.file_name().unwrap_or_default();
        name == "lbd" || name == "instance"
    };
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let holders: Vec<_> = processes
        .map(|entry| entry.path())
        .filter(|process| runs(process) && held(process))
        .collect();
    assert!(holders.is_empty(), "{holders:?}");
    drop(inherited);
}
