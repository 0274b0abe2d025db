//! `cargo xtask test --kernels`: the packet rows and the live tests on other kernels, each booted under QEMU. The guest's root
//! is this machine's, read-only, below a layer in memory: the tests find the programs that they were built with.

mod binaries;
mod guest;
mod initramfs;
mod machine;
mod modules;
mod script;

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::count::Count;
use crate::setup::{self, kernel, qemu};
use crate::workspace;

pub(crate) use crate::setup::kernel::NAMES;

/// Runs the tests on each kernel of these names, or on all; `filter` goes to the tests' runners.
pub(crate) fn run(names: &[String], filter: &[String]) -> Result<()> {
    setup::run()?;
    let names: Vec<&str> = match names {
        [] => NAMES.to_vec(),
        some => some.iter().map(String::as_str).collect(),
    };
    let qemu = qemu::find_or_unpack()?;
    let busybox = qemu::busybox()?;
    let kernels = names
        .iter()
        .map(|name| kernel::find_or_unpack(name).with_context(|| format!("the kernel {name}")))
        .collect::<Result<Vec<_>>>()?;
    let binaries = binaries::build()?;
    let place = workspace::target().join("kernels");
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;

    let mut count = Count::default();
    let mut acceleration = None;
    for kernel in &kernels {
        let script = script::of(&binaries, filter, &kernel.release)?;
        let initramfs = initramfs::make(&place, &busybox, kernel, &script)?;
        let machine = machine::Machine {
            qemu: &qemu,
            kernel,
            initramfs: &initramfs,
            console: &place.join(format!("console-{}", kernel.release)),
        };
        let acceleration = match acceleration {
            Some(known) => known,
            None => *acceleration.insert(guest::fastest(&machine)?),
        };
        println!("\n== Linux {} {acceleration}", kernel.release);
        for (test, why) in script::left_out(&kernel.release) {
            println!("left out: {test}: {why}");
            count.add_skipped();
        }
        let started = Instant::now();
        guest::run(&machine, acceleration, binaries.len(), &mut count)?;
        let minutes = started.elapsed().as_secs_f64() / 60.0;
        println!("\n== Linux {}: {minutes:.1} minutes", kernel.release);
    }
    println!("{}", count.summary());
    if count.is_failure() {
        bail!("not every test passed");
    }
    Ok(())
}
