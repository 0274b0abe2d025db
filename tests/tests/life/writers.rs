//! Many operators at once.

use anyhow::{Result, ensure};
use testbed::{World, assert_native_xdp};

use crate::{FEWEST, NAMES, site};

const WRITERS: u16 = 200;

#[test]
fn two_hundred_lbctl_at_once_lose_nothing() -> Result<()> {
    let world = World::new()?;
    let mut site = site(&world)?;
    let generation = site.edge.status()?.generation;
    let addresses: Vec<String> = (0..WRITERS).map(|host| format!("10.9.0.{host}")).collect();
    let commands: Vec<Vec<&str>> = addresses
        .iter()
        .map(|address| vec!["backends", "add", "web", address, "--weight", "0"])
        .collect();
    for done in site.edge.lbctl_at_once(&commands)? {
        ensure!(done.code == 0, "{done:?}");
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
    site.answered(300)?.ensure_balanced(&NAMES, FEWEST)
}
