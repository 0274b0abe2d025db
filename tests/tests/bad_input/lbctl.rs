//! Every refusal of `lbctl` has its exit code and its sentence, and changes nothing.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use balancer_api::views::{BackendView, ServiceView};
use testbed::{Protocol, Site, Topology, Workload, World, program};

use crate::assert_said;

fn site(world: &World) -> Result<Site<'_>> {
    Site::start(
        world,
        &["one"],
        Workload::new(Topology::vip_v4(10), Protocol::Tcp),
    )
}

/// Everything that could have changed, without what traffic changes.
fn desired(site: &Site<'_>) -> Result<(u64, Vec<ServiceView>, Vec<BackendView>)> {
    let still = |backend: BackendView| BackendView {
        packets: 0,
        bytes: 0,
        next_hop: None,
        ..backend
    };
    let services = site.edge.services()?.into_iter();
    Ok((
        site.edge.status()?.generation,
        services
            .map(|service| ServiceView {
                packets: 0,
                bytes: 0,
                ..service
            })
            .collect(),
        site.edge.backends()?.into_iter().map(still).collect(),
    ))
}

// Promise: O1
#[test]
fn refused_changes_have_an_exit_code_each_and_change_nothing() -> Result<()> {
    let world = World::new()?;
    let site = site(&world)?;
    let before = desired(&site)?;
    let backend = site.address("one")?.to_string();
    let vip = site.workload.target.ip().to_string();
    let (backend, vip) = (backend.as_str(), vip.as_str());
    let cases: &[(&[&str], i32, &[&str])] = &[
        (
            &["backends", "add", "web", backend],
            5,
            &[backend, "already"],
        ),
        (
            &[
                "services",
                "add",
                "web",
                "--vip",
                "198.51.100.77",
                "--port",
                "1",
            ],
            5,
            &["`web`", "already"],
        ),
        (
            &["services", "add", "two", "--vip", vip, "--port", "8000"],
            5,
            &[vip, "`web`"],
        ),
        (
            &["backends", "add", "nothing", "10.1.0.99"],
            4,
            &["no service `nothing`", "services list"],
        ),
        (
            &["services", "remove", "nothing"],
            4,
            &["no service `nothing`"],
        ),
        (
            &["backends", "list", "nothing"],
            4,
            &["no service `nothing`"],
        ),
        (
            &["backends", "remove", "web", "10.1.0.99"],
            4,
            &["no backend 10.1.0.99", "backends list web"],
        ),
        (
            &["backends", "drain", "web", "10.1.0.99"],
            4,
            &["no backend 10.1.0.99"],
        ),
        (
            &["backends", "weight", "web", "10.1.0.99", "2"],
            4,
            &["no backend 10.1.0.99"],
        ),
        (
            &["backends", "remove", "web", backend],
            6,
            &["would be left", "--force"],
        ),
        (
            &["backends", "remove", "web", backend, "--now"],
            6,
            &["would be left", "--force"],
        ),
        (
            &["backends", "drain", "web", backend],
            6,
            &["would be left", "--force"],
        ),
        (
            &["backends", "weight", "web", backend, "0"],
            6,
            &["would be left", "--force"],
        ),
        (
            &["services", "remove", "web"],
            6,
            &["still has backends", "--force"],
        ),
        (&["backends", "add", "web", vip], 1, &[vip]),
        (
            &["backends", "add", "web", "fd00:1::99", "--weight", "5000"],
            2,
            &[],
        ),
        (&["backends", "add", "web", "10.1.0.999"], 2, &[]),
        (&["backends", "add", "web"], 2, &[]),
        (
            &[
                "services",
                "add",
                "Web Site",
                "--vip",
                "198.51.100.9",
                "--port",
                "1",
            ],
            2,
            &[],
        ),
        (
            &[
                "services",
                "add",
                "two",
                "--vip",
                "198.51.100.9",
                "--port",
                "70000",
            ],
            2,
            &[],
        ),
        (
            &["apply", "-f", "/nowhere.toml"],
            1,
            &["/nowhere.toml", "No such file"],
        ),
    ];
    for (arguments, code, words) in cases {
        let reply = site.edge.lbctl(arguments)?;
        ensure!(reply.code == *code, "{arguments:?}: {reply:?}");
        ensure!(
            reply.stdout.is_empty() && !reply.stderr.is_empty(),
            "{arguments:?}: {reply:?}"
        );
        if !words.is_empty() {
            assert_said(&reply, *code, words);
        }
        ensure!(
            desired(&site)? == before,
            "{arguments:?} changed something: {:?}",
            desired(&site)?
        );
    }
    site.answered(50)?;
    Ok(())
}

#[test]
fn a_broken_services_file_is_told_by_line_and_changes_nothing() -> Result<()> {
    let world = World::new()?;
    let site = site(&world)?;
    let before = desired(&site)?;
    let good = format!(
        "version = 1\n{}",
        site.workload.declaration(&site.topology.instances)
    );
    let line = |text: &str, what: &str| -> Result<usize> {
        let at = text.lines().position(|line| line.contains(what));
        Ok(at.with_context(|| format!("no {what} in {text}"))? + 1)
    };
    let file = world.directory().join("services.toml");
    let path = file.to_str().context("a path of ours is text")?;
    for (from, to, key) in [
        ("port = 8000\n", "port = \"http\"\n", "port"),
        (
            "encapsulation = \"gue\"",
            "encapsulation = \"vxlan\"",
            "encapsulation",
        ),
        (
            "protocol = \"tcp\"",
            "protocol = \"tcp\"\nprotokoll = 1",
            "protokoll",
        ),
        ("weight = 1", "weight = -1", "weight"),
    ] {
        let text = good.replacen(from, to, 1);
        fs::write(&file, &text)?;
        let reply = site.edge.lbctl(&["apply", "-f", path])?;
        let at = line(&text, key)?;
        assert_said(
            &reply,
            1,
            &[&format!("services.toml:{at}: key `"), key, "expected"],
        );
        ensure!(desired(&site)? == before, "{key}: {:?}", desired(&site)?);
    }
    // One that would leave a service without anybody needs to be insisted on.
    let emptied = good
        .split("[[service.backend]]")
        .next()
        .context("the first part")?;
    fs::write(&file, emptied)?;
    let reply = site.edge.lbctl(&["apply", "-f", path])?;
    assert_said(&reply, 6, &["--force"]);
    ensure!(desired(&site)? == before, "{:?}", desired(&site)?);
    // And the good one is no change at all.
    fs::write(&file, good)?;
    site.edge.lbctl_ok(&["apply", "-f", path])?;
    ensure!(desired(&site)? == before, "{:?}", desired(&site)?);
    Ok(())
}

#[test]
fn without_a_daemon_lbctl_says_so() -> Result<()> {
    let world = World::new()?;
    let site = site(&world)?;
    let socket = site.edge.socket();
    let said = |socket: &Path| format!("lbd does not answer on {}", socket.display());
    site.edge.kill();
    // A dead socket, then none.
    ensure!(socket.exists(), "SIGKILL leaves it");
    for arguments in [
        &["status"][..],
        &["backends", "add", "web", "10.1.0.99"],
        &["detach"],
    ] {
        let reply = site.edge.lbctl(arguments)?;
        assert_said(&reply, 3, &[&said(&socket), "is it running?"]);
    }
    fs::remove_file(&socket)?;
    let reply = site.edge.lbctl(&["status"])?;
    assert_said(&reply, 3, &[&said(&socket)]);
    Ok(())
}

#[test]
fn a_socket_that_is_not_for_everybody_says_so() -> Result<()> {
    let world = World::new()?;
    let site = site(&world)?;
    let before = desired(&site)?;
    let built = program("lbctl")?;
    let place = world.directory().join("bin");
    fs::create_dir(&place)?;
    let from = built.parent().context("a program lies in a directory")?;
    let bound = std::process::Command::new("mount")
        .arg("--bind")
        .arg(from)
        .arg(&place)
        .status()?;
    ensure!(bound.success(), "cannot bind {}", place.display());
    let done = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(place.join("lbctl"))
        .arg("--socket")
        .arg(site.edge.socket())
        .args(["backends", "add", "web", "10.1.0.99"])
        .output()?;
    let error = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(3), "{error}");
    ensure!(
        error.contains("permission denied; run lbctl as root"),
        "{error}"
    );
    ensure!(desired(&site)? == before, "{:?}", desired(&site)?);
    Ok(())
}
