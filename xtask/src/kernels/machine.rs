//! The machine that QEMU makes: two processors, the host's root, no network.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::setup::kernel::Kernel;
use crate::setup::qemu::Qemu;

/// How instructions are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acceleration {
    /// By the processor.
    Kvm,
    /// By QEMU, about twenty times slower.
    Emulation,
}

impl Acceleration {
    /// How many times slower than this machine; the tests' deadlines ask (`tests/src/pace.rs`).
    fn slowness(self) -> u32 {
        match self {
            Acceleration::Kvm => 1,
            Acceleration::Emulation => 20,
        }
    }
}

impl fmt::Display for Acceleration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Acceleration::Kvm => "under KVM",
            Acceleration::Emulation => "under QEMU's emulation",
        })
    }
}

/// What is booted.
pub(super) struct Machine<'a> {
    pub(super) qemu: &'a Qemu,
    pub(super) kernel: &'a Kernel,
    pub(super) initramfs: &'a Path,
    /// Where the kernel's console goes.
    pub(super) console: &'a Path,
}

impl Machine<'_> {
    /// QEMU's command; what the guest says is its standard output. `words` are added to the kernel's command line.
    pub(super) fn command(&self, acceleration: Acceleration, words: &str) -> Result<Command> {
        let mut qemu = self.qemu.command()?;
        match acceleration {
            Acceleration::Kvm => qemu.args(["-accel", "kvm", "-cpu", "host"]),
            Acceleration::Emulation => qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max"]),
        };
        // An oops ends the guest: no test can tell anything after it.
        // Changing page tables at each system call is what an emulator is slowest at, and nobody attacks a guest of tests.
        // What was translated of a program is of use again where it lies at the same address the next time.
        // What the kernel doesn't know, its first process has in its environment.
        let slowness = acceleration.slowness();
        let line = format!(
            "console=ttyS0 loglevel=4 oops=panic panic=-1 mitigations=off norandmaps \
             BALANCER_SLOWNESS={slowness} {words}"
        );
        let root = "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap";
        qemu.args(["-smp", "2", "-m", "2048", "-nodefaults", "-no-user-config"])
            .args(["-display", "none", "-no-reboot", "-nic", "none"])
            .arg("-serial")
            .arg(format!("file:{}", self.console.display()))
            .args(["-serial", "stdio", "-virtfs", root])
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(self.initramfs)
            .args(["-append", &line])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        Ok(qemu)
    }
}
