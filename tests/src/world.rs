//! A private place for namespaces, pins and processes that vanishes with the thread that made it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::Uid;
use tempfile::TempDir;

use crate::namespace::{NAMESPACES, Namespace};
use crate::process::Process;
use crate::programs::program;
use crate::sweep::Sweeper;

/// What the names of worlds begin with; their mounts have them as source.
pub(crate) const NAME: &str = "balancer-";

/// Notes a process that will outlive its world: its pid and name.
pub type Record = fn(u32, &str) -> Result<()>;

/// The calling thread's own mount namespace, with its own `ip netns`, its own bpffs and its own files.
///
/// Nothing of it is visible outside, and what runs in it is swept when it ends, so that even SIGKILL leaves nothing but an
/// empty directory. It is bound to its thread: namespaces of mounts are per thread.
pub struct World {
    /// Emptied by unmounting; then the directory itself goes.
    directory: TempDir,
    processes: RefCell<Vec<Rc<RefCell<Process>>>>,
    /// The `lbd` that daemons run, if it is another than this workspace's.
    lbd: RefCell<Option<PathBuf>>,
    kept: Option<Record>,
    sweeper: Option<Sweeper>,
    bound_to_thread: PhantomData<*const ()>,
}

impl World {
    /// Makes the calling thread's world. Fails without root.
    pub fn new() -> Result<World> {
        World::make(None)
    }

    /// A world whose processes, and with them everything else, outlive this one; each is recorded.
    pub fn kept(record: Record) -> Result<World> {
        World::make(Some(record))
    }

    fn make(kept: Option<Record>) -> Result<World> {
        if !Uid::effective().is_root() {
            bail!("network namespaces need root: run this as root");
        }
        let directory = tempfile::Builder::new().prefix(NAME).tempdir()?;
        fs::create_dir_all(NAMESPACES).with_context(|| format!("cannot make {NAMESPACES}"))?;
        unshare(CloneFlags::CLONE_NEWNS).context("cannot have mounts of our own")?;
        let whole = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, whole, None::<&str>)
            .context("cannot make the mounts private")?;
        let mut world = World {
            directory,
            processes: RefCell::default(),
            lbd: RefCell::default(),
            kept,
            sweeper: None,
            bound_to_thread: PhantomData,
        };
        let name = world.name();
        mount_new("tmpfs", &name, Path::new(NAMESPACES))?;
        mount_new("tmpfs", &name, world.directory())?;
        fs::create_dir(world.bpffs())?;
        mount_new("bpf", &name, &world.bpffs())?;
        if kept.is_none() {
            world.sweeper = Some(Sweeper::start(&name)?);
        }
        Ok(world)
    }

    /// Files of this world: configurations, logs, sockets.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A name that no other world has.
    pub fn name(&self) -> String {
        let name = self.directory.path().file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// This world's BPF file system.
    pub fn bpffs(&self) -> PathBuf {
        self.directory.path().join("bpf")
    }

    /// Adds a network namespace, with its loopback up.
    pub fn add_namespace(&self, name: &str) -> Result<Namespace> {
        Namespace::add(name)
    }

    /// Has daemons that start from now on run another `lbd`, or this workspace's again.
    pub fn run_lbd(&self, lbd: Option<PathBuf>) {
        self.lbd.replace(lbd);
    }

    /// The `lbd` that daemons run.
    pub(crate) fn lbd(&self) -> Result<PathBuf> {
        match &*self.lbd.borrow() {
            Some(lbd) => Ok(lbd.clone()),
            None => program("lbd"),
        }
    }

    /// Starts a program in a namespace. It ends with the world, if not before.
    pub fn start(
        &self,
        name: &str,
        namespace: &Namespace,
        program: impl AsRef<OsStr>,
        arguments: &[&str],
    ) -> Result<Rc<RefCell<Process>>> {
        let log = self.directory().join(format!("{name}.log"));
        let process = Process::start(
            name,
            namespace,
            program,
            arguments,
            &log,
            self.kept.is_some(),
        )?;
        if let Some(record) = self.kept {
            record(process.pid(), name)?;
        }
        let process = Rc::new(RefCell::new(process));
        self.processes.borrow_mut().push(Rc::clone(&process));
        Ok(process)
    }

    /// Every process that was started here and still runs: name, pid.
    pub fn running(&self) -> Vec<(String, u32)> {
        let processes = self.processes.borrow();
        processes
            .iter()
            .map(|process| process.borrow_mut())
            .filter_map(|mut process| {
                process
                    .is_running()
                    .then(|| (process.name().to_owned(), process.pid()))
            })
            .collect()
    }

    /// The end of every log, for the reader of a failure. Processes of one name share theirs.
    pub fn logs(&self) -> String {
        let processes = self.processes.borrow();
        let tails: BTreeMap<String, String> = processes
            .iter()
            .map(|process| process.borrow())
            .map(|process| (process.name().to_owned(), process.log_tail()))
            .collect();
        tails.into_values().collect()
    }

    /// Leaves everything up: only for a kept world.
    pub fn leave(self) {
        assert!(self.kept.is_some(), "only a kept world can be left");
        std::mem::forget(self);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.logs());
        }
        for process in self.processes.borrow().iter() {
            process.borrow_mut().kill();
        }
        drop(self.sweeper.take());
        for place in [&self.bpffs(), self.directory.path(), Path::new(NAMESPACES)] {
            // A second drop of the same mount is the only way to fail; nothing is lost then.
            let _ = umount2(place, MntFlags::MNT_DETACH);
        }
    }
}

fn mount_new(kind: &str, name: &str, place: &Path) -> Result<()> {
    mount(
        Some(name),
        place,
        Some(kind),
        MsFlags::empty(),
        None::<&str>,
    )
    .with_context(|| format!("cannot mount a {kind} on {}", place.display()))
}
