//! The modules of a kernel that guests load, in an order in which each finds what it needs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The root of the guest, the links of the tests' networks, and what their programs hang on.
const WANTED: [&str; 16] = [
    "virtio_pci",
    "9pnet_virtio",
    "9p",
    "overlay",
    "veth",
    "bridge",
    "8021q",
    "bonding",
    "dummy",
    "macvlan",
    "vxlan",
    "tun",
    "sch_ingress",
    "cls_bpf",
    "af_packet",
    "inet_diag",
];

/// A module as `insmod` takes it.
pub(super) struct Module {
    /// Its name, with underscores.
    pub(super) name: String,
    /// The file, decompressed.
    pub(super) content: Vec<u8>,
}

/// The wanted modules below `directory`, each after those that it depends on. What is built into the kernel is left out.
pub(super) fn in_order(directory: &Path, busybox: &Path) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    collect(directory, &mut files)?;
    let built_in = fs::read_to_string(directory.join("modules.builtin"))
        .with_context(|| format!("no modules.builtin in {}", directory.display()))?;
    let built_in = built_in.lines().filter_map(|line| name_of(Path::new(line)));
    let mut order = Order {
        files,
        built_in: built_in.collect(),
        busybox,
        loaded: Vec::new(),
    };
    for wanted in WANTED {
        order.add(wanted)?;
    }
    Ok(order.loaded)
}

struct Order<'a> {
    files: BTreeMap<String, PathBuf>,
    built_in: Vec<String>,
    busybox: &'a Path,
    loaded: Vec<Module>,
}

impl Order<'_> {
    fn add(&mut self, name: &str) -> Result<()> {
        let known = |module: &Module| module.name == name;
        if self.loaded.iter().any(known) || self.built_in.iter().any(|built| built == name) {
            return Ok(());
        }
        let file = self.files.get(name);
        let file = file.with_context(|| format!("this kernel has no module {name}"))?;
        let content = read(file, self.busybox)?;
        for needed in needed_by(&content) {
            self.add(&needed)?;
        }
        self.loaded.push(Module {
            name: name.to_owned(),
            content,
        });
        Ok(())
    }
}

fn collect(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else if let Some(name) = name_of(&entry.path()) {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

/// `cls_bpf` of `net/sched/cls_bpf.ko.xz`; `None` for what is no module.
fn name_of(file: &Path) -> Option<String> {
    let (name, _) = file.file_name()?.to_str()?.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

fn read(file: &Path, busybox: &Path) -> Result<Vec<u8>> {
    if file.extension().is_some_and(|extension| extension == "ko") {
        return Ok(fs::read(file)?);
    }
    let out = Command::new(busybox)
        .args(["xz", "-dc"])
        .arg(file)
        .output()
        .context("cannot start busybox")?;
    if !out.status.success() {
        bail!("cannot decompress {}", file.display());
    }
    Ok(out.stdout)
}

/// The modules that a module says it needs, in its section `.modinfo`: `depends=stp,llc`, ended by a zero byte.
fn needed_by(module: &[u8]) -> Vec<String> {
    const DEPENDS: &[u8] = b"\0depends=";
    let Some(start) = module
        .windows(DEPENDS.len())
        .position(|window| window == DEPENDS)
    else {
        return Vec::new();
    };
    let names = module[start + DEPENDS.len()..].split(|byte| *byte == 0);
    let names = names.map(String::from_utf8_lossy).next();
    names
        .unwrap_or_default()
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_needs() {
        let names = needed_by(b"\x7fELF..\0license=GPL\0depends=stp,ip6-udp-tunnel\0name=bridge\0");
        assert_eq!(names, ["stp", "ip6_udp_tunnel"]);
        assert!(needed_by(b"\x7fELF..\0depends=\0name=stp\0").is_empty());
    }

    #[test]
    fn a_module_is_known_by_its_file_compressed_or_not() {
        let name = |file: &str| name_of(Path::new(file));
        assert_eq!(
            name("net/9p/9pnet-virtio.ko.xz").as_deref(),
            Some("9pnet_virtio")
        );
        assert_eq!(name("net/sched/cls_bpf.ko").as_deref(), Some("cls_bpf"));
        assert_eq!(name("modules.builtin"), None);
    }
}
