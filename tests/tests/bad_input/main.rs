//! Bad input and bad moments: a sentence that says what to do, an exit code of its own, and nothing changed.

mod agent;
mod configuration;
mod lbctl;
mod surroundings;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use testbed::{Namespace, Reply, Topology, World, assert_native_xdp, lbd_as};

/// An edge's host on which no `lbd` has run yet.
struct Bench {
    world: World,
    topology: Topology,
}

impl Bench {
    fn new() -> Result<Bench> {
        let world = World::new()?;
        let topology = Topology::build(&world, &[])?;
        Ok(Bench { world, topology })
    }

    fn edge(&self) -> &Namespace {
        &self.topology.edge
    }

    fn file(&self, name: &str) -> PathBuf {
        self.world.directory().join(name)
    }

    /// A configuration that is good but for these settings and services.
    fn config(&self, settings: &str, services: &str) -> Result<PathBuf> {
        let pins = match settings.contains("pin_dir") {
            true => String::new(),
            false => format!("pin_dir = \"{}\"", self.pins().display()),
        };
        let text = format!(
            "version = 1\n{settings}\n{pins}\nstate_dir = \"{}\"\napi_socket = \"{}\"\n{services}\n",
            self.file("state").display(),
            self.file("lbd.sock").display(),
        );
        let file = self.file("edge.toml");
        fs::write(&file, text)?;
        Ok(file)
    }

    fn pins(&self) -> PathBuf {
        self.world.bpffs().join("edge")
    }

    /// Runs `lbd edge` behind a wrapper, which has to refuse and to leave everything as it was.
    fn refused_as(&self, wrapper: &[&str], config: &Path) -> Result<Reply> {
        let config = config.to_str().context("a path of ours is text")?;
        let reply = lbd_as(self.edge(), wrapper, &["edge", "--config", config])?;
        ensure!(reply.code != 124, "it was not refused: {reply:?}");
        ensure!(reply.stdout.is_empty(), "{reply:?}");
        let attached = assert_native_xdp(self.edge(), "eth0");
        if !matches!(&attached, Ok(id) if Some(*id) == self.before()) {
            let said = format!("{attached:?}");
            ensure!(said.contains("no XDP program is attached"), "{said}");
        }
        let socket = self.file("lbd.sock");
        ensure!(!socket.exists(), "{} is left", socket.display());
        // Only the line of a journal that nothing was written into.
        let journal = fs::read_to_string(self.file("state").join("journal-1")).unwrap_or_default();
        ensure!(journal.lines().count() <= 1, "entries are left: {journal}");
        let pins = pins_below(&self.pins())?;
        ensure!(pins.is_empty(), "pins are left: {pins:?}");
        Ok(reply)
    }

    fn refused(&self, config: &Path) -> Result<Reply> {
        self.refused_as(&[], config)
    }

    /// The foreign program on `eth0`, if the test put one there.
    fn before(&self) -> Option<u64> {
        fs::read_to_string(self.file("foreign")).ok()?.parse().ok()
    }
}

/// Every pin below a directory.
fn pins_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut pins = Vec::new();
    if !directory.exists() {
        return Ok(pins);
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            pins.extend(pins_below(&path)?);
        } else {
            pins.push(path);
        }
    }
    Ok(pins)
}

/// Fails unless this exit code came, and a last line of error that contains all of these.
fn assert_said(reply: &Reply, code: i32, words: &[&str]) {
    assert_eq!(reply.code, code, "{reply:?}");
    let error = reply.stderr.lines().last().unwrap_or_default();
    assert!(
        error.starts_with("lbd: ") || error.starts_with("lbctl: "),
        "{reply:?}"
    );
    for word in words {
        assert!(error.contains(word), "not {word:?} in {error:?}");
    }
}
