//! What the kernel says about XDP on a link, and the no-op program that native veth receivers need.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use aya::Ebpf;
use aya::programs::links::FdLink;
use aya::programs::{Xdp, XdpMode};
use serde_json::Value;

use crate::namespace::Namespace;
use crate::world::World;

/// `IFLA_XDP_ATTACHED`'s values, as `ip -json` shows them.
const NATIVE: u64 = 1;
const GENERIC: u64 = 2;

/// Fails unless the kernel says that an XDP program is attached here in native mode; its id.
pub fn assert_native_xdp(namespace: &Namespace, device: &str) -> Result<u64> {
    let text = namespace.run("ip", &["-json", "-details", "link", "show", "dev", device])?;
    let links: Value = serde_json::from_str(&text).context("`ip -json` made no JSON")?;
    let xdp = &links[0]["xdp"];
    let place = format!("{device} of {}", namespace.name());
    match xdp["mode"].as_u64() {
        Some(NATIVE) => xdp["prog"]["id"]
            .as_u64()
            .with_context(|| format!("{place}: no id in {xdp}")),
        Some(GENERIC) => bail!("{place}: XDP is attached in generic mode, not native"),
        Some(other) => bail!("{place}: XDP is attached in mode {other}, not native"),
        None => bail!("{place}: no XDP program is attached"),
    }
}

/// Attaches a native program that passes everything; it stays as long as the world.
///
/// A frame that a native program sends out of a veth reaches the other end's stack only if that end
/// has a native program too. Without it the frame is lost and no counter says so.
pub fn attach_pass(world: &World, namespace: &Namespace, device: &str) -> Result<()> {
    // No dots: a BPF file system takes none.
    let name = format!("pass-{}-{device}", namespace.name()).replace('.', "-");
    let pin = world.bpffs().join(name);
    // Left of a device that is gone.
    let _ = fs::remove_file(&pin);
    namespace.enter(|| {
        let mut object =
            Ebpf::load(testbed_programs::PASS_OBJECT).context("cannot load the pass program")?;
        let program: &mut Xdp = object
            .program_mut("pass")
            .context("no program `pass`")?
            .try_into()?;
        program.load()?;
        let id = program
            .attach(device, XdpMode::Driver)
            .with_context(|| format!("cannot attach the pass program to {device}"))?;
        let link: FdLink = program.take_link(id)?.try_into()?;
        link.pin(&pin)?;
        anyhow::Ok(())
    })??;
    let attached = assert_native_xdp(namespace, device)?;
    ensure!(attached > 0, "a program has an id");
    Ok(())
}
