//! Packages of Debian and Ubuntu, by apt, only where their commands are missing.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::narrate;
use crate::workspace;

/// A command that the topology needs, and the package that has it.
pub(crate) struct Tool {
    command: &'static str,
    package: &'static str,
}

/// What the network namespaces are made and tried with.
pub(crate) const TOOLS: [Tool; 5] = [
    Tool {
        command: "ip",
        package: "iproute2",
    },
    Tool {
        command: "ethtool",
        package: "ethtool",
    },
    Tool {
        command: "curl",
        package: "curl",
    },
    Tool {
        command: "setpriv",
        package: "util-linux",
    },
    // bpf-linker's build and every link step
    Tool {
        command: "cc",
        package: "gcc",
    },
];

/// Installs the packages of the commands that are missing.
pub(crate) fn install_missing(tools: &[Tool]) -> Result<()> {
    let missing: Vec<&str> = tools
        .iter()
        .filter(|tool| !is_command(tool.command))
        .map(|tool| tool.package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)
}

/// Installs packages; never removes one for it.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let wanted = packages.join(" ");
    if !is_command("apt-get") {
        bail!(
            "this machine has no apt-get: install the equivalents of `{wanted}`, then run this again"
        );
    }
    if !workspace::is_root() {
        bail!("installing needs root: run `apt-get install {wanted}`, then run this again");
    }
    eprintln!("set-up: installing with apt: {wanted}");
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive")
            .arg("--yes")
            .args(arguments);
        apt
    };
    narrate::step("apt-get update", &mut apt(&["update"]))?;
    let mut install = apt(&["install", "--no-install-recommends", "--no-remove"]);
    narrate::step(&format!("apt-get install {wanted}"), install.args(packages))
}

/// Whether a program of this name is on `PATH`, or where root's programs are.
pub(super) fn is_command(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| Path::new(&directory).join(name).is_file())
}
