//! Kernels of Debian's releases, unpacked into the cache: nothing of this machine's own boot is touched.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::suite::Suite;
use super::unpack;
use crate::cache;

/// The kernels that can be asked for, and the suite that each is in.
const SUITES: [(&str, &str); 2] = [("6.1", "bookworm"), ("6.12", "trixie")];

/// Their names, the oldest first.
pub(crate) const NAMES: [&str; SUITES.len()] = [SUITES[0].0, SUITES[1].0];

/// The package that depends on the newest kernel of a suite.
const NEWEST: &str = "linux-image-amd64";

/// A kernel that can be booted.
pub(crate) struct Kernel {
    /// What `uname -r` says there.
    pub(crate) release: String,
    /// The file that is booted.
    pub(crate) image: PathBuf,
    /// The directory of its modules.
    pub(crate) modules: PathBuf,
}

/// The kernel of this name; fetched the first time. Whoever wants a newer patch release removes it from the cache.
pub(crate) fn find_or_unpack(name: &str) -> Result<Kernel> {
    let kernels = cache::directory()?.join("kernels");
    let root = kernels.join(name);
    if !root.is_dir() {
        let (_, suite) = SUITES
            .iter()
            .find(|(known, _)| *known == name)
            .with_context(|| format!("no kernel {name}; there are {}", NAMES.join(", ")))?;
        fetch(suite, &kernels, &root)?;
    }
    Kernel::in_directory(&root).with_context(|| {
        format!(
            "no kernel in {}: remove it, then run this again",
            root.display()
        )
    })
}

fn fetch(suite: &str, kernels: &Path, root: &Path) -> Result<()> {
    eprintln!(
        "set-up: unpacking the newest kernel of Debian's {suite} into {}",
        root.display()
    );
    // Whole or not at all: an unpacking may be interrupted.
    let (unpacked, download) = (kernels.join("unpacked"), kernels.join("download"));
    for left in [&unpacked, &download] {
        if left.exists() {
            fs::remove_dir_all(left)?;
        }
        fs::create_dir_all(left).with_context(|| format!("cannot make {}", left.display()))?;
    }
    let suite = Suite::open(suite, &kernels.join("apt"))?;
    suite.download(&suite.newest(NEWEST)?, &download)?;
    unpack::extract(&download, &unpacked)?;
    fs::remove_dir_all(&download)?;
    fs::rename(&unpacked, root).with_context(|| format!("cannot make {}", root.display()))
}

impl Kernel {
    fn in_directory(root: &Path) -> Option<Kernel> {
        let (image, release) = fs::read_dir(root.join("boot"))
            .ok()?
            .filter_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                let release = name.strip_prefix("vmlinuz-")?.to_owned();
                Some((root.join("boot").join(&name), release))
            })
            .next()?;
        let modules = ["lib/modules", "usr/lib/modules"]
            .into_iter()
            .map(|place| root.join(place).join(&release))
            .find(|modules| modules.is_dir())?;
        Some(Kernel {
            release,
            image,
            modules,
        })
    }
}
