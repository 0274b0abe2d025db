//! Many operators at once.

use std::process::Stdio;

use anyhow::{Result, ensure};
use testbed::{World, assert_native_xdp};

use crate::{NAMES, assert_balanced, site};

const WRITERS: u16 = 200;

#[test]
fn two_hundred_lbctl_at_once_lose_nothing() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    let generation = site.edge.status()?.generation;
    let addresses: Vec<String> = (0..WRITERS).map(|host| format!("10.9.0.{host}")).collect();
    let mut writers = Vec::new();
    for address in &addresses {
        let mut command = site
            .edge
            .lbctl_command(&["backends", "add", "web", address, "--weight", "0"])?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        writers.push(command.spawn()?);
    }
    for writer in writers {
        let done = writer.wait_with_output()?;
        ensure!(done.status.success(), "{done:?}");
    }
    // What was answered is on disk: a crash takes none of it.
    site.edge.kill();
    site.edge.start_again(&world)?;
    assert_native_xdp(&site.topology.edge, "eth0")?;
    let backends = site.edge.backends()?;
    assert_eq!(backends.len(), NAMES.len() + usize::from(WRITERS));
    for address in &addresses {
        let there = backends
            .iter()
            .any(|backend| backend.address.to_string() == *address);
        ensure!(there, "{address} is lost");
    }
    assert_eq!(
        site.edge.status()?.generation,
        generation + u64::from(WRITERS)
    );
    assert_balanced(&site.answered(300)?, &NAMES)
}
