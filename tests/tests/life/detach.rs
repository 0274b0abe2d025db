//! Taking the program off: by `lbctl` while the daemon runs, by `lbd detach` when it does not.

use std::time::Duration;

use anyhow::{Result, ensure};
use balancer_api::views::XdpAttachment;
use testbed::{Load, Protocol, Reply, Site, World, assert_native_xdp, lbd, wait_for};

use crate::{NAMES, site};

/// Fails if the edge balances anything, or if a pin is left.
fn assert_detached(site: &Site<'_>) -> Result<()> {
    // The kernel ends a link some time after its last user.
    wait_for("the program to go", Duration::from_secs(5), || {
        let attached = assert_native_xdp(&site.topology.edge, "eth0");
        let said = format!("{attached:?}");
        ensure!(said.contains("no XDP program is attached"), "{said}");
        Ok(())
    })?;
    let load = Load::send(
        &site.topology.client,
        site.workload.target,
        Protocol::Tcp,
        50,
        10,
    )?;
    ensure!(load.ok() == 0, "answered still: {:?}", load.names());
    let pins = site.edge.pins(site.world);
    let left: Vec<_> = match pins.read_dir() {
        Ok(left) => left.collect::<Result<_, _>>()?,
        Err(_) => Vec::new(),
    };
    ensure!(left.is_empty(), "pins are left: {left:?}");
    Ok(())
}

// Promise: S4
#[test]
fn lbctl_detaches_and_a_restart_attaches_again() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    let said = site.edge.lbctl_ok(&["--dry-run", "detach"])?;
    ensure!(said.contains("would be detached"), "{said}");
    site.answered(30)?;

    site.edge.lbctl_ok(&["detach"])?;
    assert_detached(&site)?;
    let status = site.edge.status()?;
    ensure!(
        status.xdp_mode == XdpAttachment::Detached && status.program_id == 0,
        "{status:?}"
    );
    ensure!(
        status
            .warnings
            .iter()
            .any(|each| each.starts_with("detached from eth0")),
        "{status:?}"
    );
    let text = site.edge.lbctl_ok(&["status"])?;
    ensure!(text.contains("WARNING: DETACHED"), "{text}");
    // It stays so, although the daemon looks after its attachment every second.
    let uptime = status.uptime_seconds;
    wait_for("three seconds of its life", Duration::from_secs(15), || {
        ensure!(site.edge.status()?.uptime_seconds >= uptime + 3, "not yet");
        Ok(())
    })?;
    assert_detached(&site)?;

    site.edge.terminate()?;
    site.edge.start_again(&world)?;
    assert_native_xdp(&site.topology.edge, "eth0")?;
    let status = site.edge.status()?;
    ensure!(
        status.xdp_mode == XdpAttachment::Native && !status.taken_over,
        "{status:?}"
    );
    site.balanced(&NAMES)
}

// Promise: S4
#[test]
fn lbd_detaches_what_a_stopped_daemon_left_and_not_what_a_running_one_holds() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    let config = site.edge.config();
    let detach = |site: &Site<'_>| -> Result<Reply> {
        lbd(
            &site.topology.edge,
            &["detach", "edge", "--config", &config.to_string_lossy()],
        )
    };
    let refused = detach(&site)?;
    assert_eq!(refused.code, 5, "{refused:?}");
    ensure!(refused.stderr.contains("another lbd uses "), "{refused:?}");
    site.answered(30)?;

    site.edge.terminate()?;
    site.answered(30)?;
    let done = detach(&site)?;
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (0, "detached\n"),
        "{done:?}"
    );
    assert_detached(&site)?;
    let again = detach(&site)?;
    assert_eq!(
        (again.code, again.stdout.as_str()),
        (0, "nothing was attached\n"),
        "{again:?}"
    );

    site.edge.start_again(&world)?;
    assert_native_xdp(&site.topology.edge, "eth0")?;
    site.balanced(&NAMES)
}
