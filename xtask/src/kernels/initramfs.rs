//! The first file system of a guest: busybox, the kernel's modules, and the script that hands over to this machine's root.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::modules;
use crate::setup::kernel::Kernel;

/// What runs first.
const INIT: &str = include_str!("init.sh");

/// Makes it in `place`; `tests` is what runs at last.
pub(super) fn make(place: &Path, busybox: &Path, kernel: &Kernel, tests: &str) -> Result<PathBuf> {
    let root = place.join(&kernel.release);
    for directory in ["bin", "modules", "proc", "sys", "dev"] {
        fs::create_dir_all(root.join(directory))?;
    }
    fs::copy(busybox, root.join("bin/busybox"))
        .with_context(|| format!("cannot copy {}", busybox.display()))?;
    let modules = modules::in_order(&kernel.modules, busybox)?;
    let order: String = modules
        .iter()
        .map(|module| format!("{}\n", module.name))
        .collect();
    for module in &modules {
        fs::write(root.join("modules").join(&module.name), &module.content)?;
    }
    fs::write(root.join("order"), order)?;
    fs::write(root.join("tests"), tests)?;
    fs::write(root.join("init"), INIT)?;
    for program in ["init", "bin/busybox"] {
        fs::set_permissions(root.join(program), PermissionsExt::from_mode(0o755))?;
    }
    let archive = place.join(format!("initramfs-{}", kernel.release));
    pack(&root, busybox, &archive)?;
    fs::remove_dir_all(&root)?;
    Ok(archive)
}

fn pack(root: &Path, busybox: &Path, archive: &Path) -> Result<()> {
    let mut names = String::new();
    list(root, Path::new(""), &mut names)?;
    let mut cpio = Command::new(busybox)
        .args(["cpio", "-o", "-H", "newc"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(fs::File::create(archive)?)
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start busybox")?;
    let mut input = cpio.stdin.take().context("no stdin")?;
    input.write_all(names.as_bytes())?;
    drop(input);
    if !cpio.wait()?.success() {
        bail!("busybox made no archive of {}", root.display());
    }
    Ok(())
}

/// Every path below `root`, directories before what is in them.
fn list(root: &Path, below: &Path, names: &mut String) -> Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        names.push_str(&format!("{}\n", path.display()));
        if entry.file_type()?.is_dir() {
            list(root, &path, names)?;
        }
    }
    Ok(())
}
