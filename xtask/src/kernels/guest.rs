//! A guest that runs: what it says, and its end, which is ours to bring about if it doesn't come.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::machine::{Acceleration, Machine};
use super::script::DONE;
use crate::count::Count;

/// Said by a guest whose first process runs.
const UP: &str = "guest: up ";

/// How long a guest under KVM has until its first process runs: it takes a second where KVM works.
const FIRST_WORD: Duration = Duration::from_secs(20);

/// A guest that says nothing for so long hangs: each test is told as it ends.
const SILENCE: Duration = Duration::from_secs(600);

/// How much of the console is shown when a guest fails.
const LINES_SHOWN: usize = 40;

/// KVM, if a guest comes up under it: a device that opens says little inside another virtual machine.
pub(super) fn fastest(machine: &Machine<'_>) -> Result<Acceleration> {
    if !Path::new("/dev/kvm").exists() {
        return Ok(Acceleration::Emulation);
    }
    let mut command = machine.command(Acceleration::Kvm, "balancer.probe")?;
    let guest = Guest::start(command.stderr(Stdio::null()))?;
    loop {
        match guest.lines.recv_timeout(FIRST_WORD) {
            Ok(line) if line.starts_with(UP) => return Ok(Acceleration::Kvm),
            Ok(_) => {}
            Err(_) => {
                eprintln!("test: /dev/kvm is there, but no guest comes up under it: emulating");
                return Ok(Acceleration::Emulation);
            }
        }
    }
}

/// Runs the guest to its end; prints what its tests say and counts it. `runners` is how many should tell a result.
pub(super) fn run(
    machine: &Machine<'_>,
    acceleration: Acceleration,
    runners: usize,
    count: &mut Count,
) -> Result<()> {
    let guest = Guest::start(&mut machine.command(acceleration, "")?)?;
    let mut told = 0;
    let end = loop {
        match guest.lines.recv_timeout(SILENCE) {
            Ok(line) => {
                println!("{line}");
                told += usize::from(line.starts_with("test result: "));
                count.read(&line);
                if line == DONE {
                    break None;
                }
            }
            Err(RecvTimeoutError::Disconnected) => break Some("the guest died".to_owned()),
            Err(RecvTimeoutError::Timeout) => {
                break Some(format!("the guest has said nothing for {SILENCE:?}"));
            }
        }
    };
    let failure = end.or_else(|| {
        (told < runners).then(|| format!("{told} of {runners} test binaries told a result"))
    });
    if let Some(failure) = failure {
        count.add_failure();
        eprintln!(
            "test: Linux {}: {failure}; its console:",
            machine.kernel.release
        );
        eprintln!("{}", last_lines(machine.console));
    }
    Ok(())
}

/// QEMU, killed at the latest when this goes.
struct Guest {
    qemu: Child,
    lines: Receiver<String>,
}

impl Guest {
    fn start(command: &mut std::process::Command) -> Result<Guest> {
        let mut qemu = command.spawn().context("cannot start QEMU")?;
        let output = BufReader::new(qemu.stdout.take().context("no stdout")?);
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                // A serial line ends with a carriage return too.
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Guest { qemu, lines })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

fn last_lines(console: &Path) -> String {
    let said = fs::read(console).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}
