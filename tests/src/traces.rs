//! What a run could leave behind on the machine: what it made is noted while it runs, and looked for when it has ended.
//! Others may come and go on the machine meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::id;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aya::programs::{loaded_links, loaded_programs};
use balancer_edge::dataplane::map_ids;
use nix::sys::prctl::set_child_subreaper;

use crate::sweep::{cgroups, cgroups_of};
use crate::wait_for;
use crate::world::NAME;

/// How often it looks. Whoever holds namespaces, programs or maps here does so for longer.
const PERIOD: Duration = Duration::from_millis(100);

/// It rests so many times longer than a look took: what it watches needs the processors.
const REST: u32 = 20;

/// The kernel frees BPF objects some time after their last user.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the kernel says what each of a process's descriptors is.
const PROGRAM: &str = "anon_inode:bpf-prog";
const MAP: &str = "anon_inode:bpf-map";

/// Namespaces, BPF objects, mounts, cgroups and processes of this process's descendants.
///
/// Whoever loses its parent among them becomes this process's child, so that all that they start is known for theirs.
pub struct Traces {
    notes: Arc<Mutex<Notes>>,
    ended: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Traces {
    /// Takes notes from now on. Descendants that there are already, and their things, are others'.
    pub fn take() -> Result<Traces> {
        set_child_subreaper(true).context("cannot adopt orphans")?;
        let notes = Arc::new(Mutex::new(Notes::begin()?));
        let ended = Arc::new(AtomicBool::new(false));
        let (shared, stop) = (Arc::clone(&notes), Arc::clone(&ended));
        let watcher = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let started = Instant::now();
                let mut notes = locked(&shared);
                notes.look();
                notes.look_at_objects();
                drop(notes);
                thread::sleep(PERIOD.max(REST * started.elapsed()));
            }
        });
        Ok(Traces {
            notes,
            ended,
            watcher: Some(watcher),
        })
    }

    /// Fails if anything stays that was made, and names it.
    pub fn nothing_new(&self) -> Result<()> {
        wait_for("all that was made to go", PATIENCE, || {
            let new = self.new_now()?;
            if !new.is_empty() {
                bail!("left behind: {}", new.join(", "));
            }
            Ok(())
        })
    }

    /// What is there now of what was made.
    pub fn new_now(&self) -> Result<Vec<String>> {
        let mut notes = locked(&self.notes);
        notes.look();
        notes.left()
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            // It does not panic, and a look takes a moment.
            let _ = watcher.join();
        }
    }
}

fn locked(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What descendants were seen to have.
struct Notes {
    /// Descendants from before.
    strangers: BTreeSet<u32>,
    /// Network namespaces, cgroups and sources of mounts from before.
    known_namespaces: BTreeSet<String>,
    known_cgroups: BTreeSet<PathBuf>,
    known_sources: BTreeSet<String>,
    /// Network namespaces as the kernel names them, `net:[4026532008]`, and what `ip netns` calls them.
    namespaces: BTreeMap<String, Option<String>>,
    /// Names of worlds.
    worlds: BTreeSet<String>,
    cgroups: BTreeSet<PathBuf>,
    objects: BTreeSet<Object>,
    /// What the look before saw. Whoever lists all programs of the machine holds each for a moment.
    glimpsed: BTreeSet<(u32, String, Object)>,
}

/// A BPF object, by the kernel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Object {
    Program(u32),
    Map(u32),
}

impl Notes {
    fn begin() -> Result<Notes> {
        let mut known_namespaces = network_namespaces();
        let mounts = mounts(id())?;
        let named = mounts.iter().filter_map(Mount::namespace);
        known_namespaces.extend(named.map(str::to_owned));
        Ok(Notes {
            strangers: descendants().into_keys().collect(),
            known_namespaces,
            known_cgroups: cgroups_of(id()).into_iter().chain(cgroups()).collect(),
            known_sources: mounts.into_iter().map(|mount| mount.source).collect(),
            namespaces: BTreeMap::new(),
            worlds: BTreeSet::new(),
            cgroups: BTreeSet::new(),
            objects: BTreeSet::new(),
            glimpsed: BTreeSet::new(),
        })
    }

    /// Notes what descendants have now. Any of them may be gone the next moment, which is no fault.
    fn look(&mut self) {
        let mut seen = BTreeSet::new();
        for pid in self.own().into_keys() {
            if let Some(namespace) = namespace_of(pid, "net")
                && !self.known_namespaces.contains(&namespace)
            {
                self.namespaces.entry(namespace).or_default();
            }
            // Many processes share a table of mounts, and the kernel takes its time to write one.
            if namespace_of(pid, "mnt").is_some_and(|table| seen.insert(table)) {
                self.note_mounts(&mounts(pid).unwrap_or_default());
            }
            let cgroups = cgroups_of(pid).into_iter();
            self.cgroups
                .extend(cgroups.filter(|cgroup| !self.known_cgroups.contains(cgroup)));
        }
    }

    /// The same for BPF objects, of which those count that are held for longer than from one look to the next.
    fn look_at_objects(&mut self) {
        let mut glimpsed = BTreeSet::new();
        for pid in self.own().into_keys() {
            let objects = objects_of(pid).into_iter();
            glimpsed.extend(objects.map(|(descriptor, object)| (pid, descriptor, object)));
        }
        let held = glimpsed.intersection(&self.glimpsed);
        self.objects.extend(held.map(|(_, _, object)| *object));
        self.glimpsed = glimpsed;
    }

    /// Descendants that came later than these notes begin.
    fn own(&self) -> BTreeMap<u32, PathBuf> {
        let mut own = descendants();
        own.retain(|pid, _| !self.strangers.contains(pid));
        own
    }

    /// Worlds, and the namespaces that have a name in one.
    fn note_mounts(&mut self, mounts: &[Mount]) {
        let of_worlds: BTreeSet<&str> = mounts
            .iter()
            .filter(|mount| mount.source.starts_with(NAME))
            .filter(|mount| !self.known_sources.contains(&mount.source))
            .map(|mount| {
                self.worlds.insert(mount.source.clone());
                mount.number.as_str()
            })
            .collect();
        for mount in mounts {
            if of_worlds.contains(mount.parent.as_str())
                && let Some(namespace) = mount.namespace()
            {
                let name = mount.place.file_name();
                let name = name.map(|name| name.to_string_lossy().into_owned());
                self.namespaces.insert(namespace.to_owned(), name);
            }
        }
    }

    /// What is still there.
    fn left(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        let own = self.own().into_iter();
        left.extend(own.map(|(pid, program)| format!("process {pid} {}", program.display())));
        let namespaces = network_namespaces().into_iter();
        let mut in_use: BTreeMap<String, Option<PathBuf>> =
            namespaces.map(|namespace| (namespace, None)).collect();
        for mount in mounts(id())? {
            if let Some(namespace) = mount.namespace() {
                in_use.insert(namespace.to_owned(), Some(mount.place.clone()));
            }
            if self.is_ours(&mount) {
                left.push(format!("mount {}", mount.place.display()));
            }
        }
        for (namespace, name) in &self.namespaces {
            if let Some(place) = in_use.get(namespace) {
                let name = name.as_deref().unwrap_or("without a name");
                let place = place
                    .as_deref()
                    .map_or_else(String::new, |place| format!(" at {}", place.display()));
                left.push(format!("namespace {name}{place} ({namespace})"));
            }
        }
        for program in loaded_programs() {
            // It may be gone before it tells.
            let Ok(program) = program else { continue };
            if self.objects.contains(&Object::Program(program.id())) {
                let name = program.name_as_str().unwrap_or_default();
                left.push(format!("program {} {name}", program.id()));
            }
        }
        // By their numbers: looking at a map's name takes hold of it.
        for number in map_ids().context("cannot list the maps")? {
            if self.objects.contains(&Object::Map(number)) {
                left.push(format!("map {number}"));
            }
        }
        for link in loaded_links() {
            let Ok(link) = link else { continue };
            if self.objects.contains(&Object::Program(link.program_id())) {
                left.push(format!("link {}", link.id()));
            }
        }
        let of_worlds = cgroups().into_iter().filter(|cgroup| {
            let name = cgroup.file_name().unwrap_or_default().to_string_lossy();
            self.worlds.contains(name.as_ref())
        });
        let there = self.cgroups.iter().filter(|cgroup| cgroup.is_dir());
        let cgroups: BTreeSet<PathBuf> = there.cloned().chain(of_worlds).collect();
        left.extend(
            cgroups
                .iter()
                .map(|cgroup| format!("cgroup {}", cgroup.display())),
        );
        Ok(left)
    }

    /// Whether a mount is a world's, or lies in a world's directory.
    fn is_ours(&self, mount: &Mount) -> bool {
        let mut parts = mount.place.iter().map(|part| part.to_string_lossy());
        self.worlds.contains(&mount.source) || parts.any(|part| self.worlds.contains(part.as_ref()))
    }
}

/// A line of a process's table of mounts.
struct Mount {
    number: String,
    parent: String,
    /// What of the file system is there: of a namespace its name.
    root: String,
    place: PathBuf,
    source: String,
}

impl Mount {
    fn read(line: &str) -> Option<Mount> {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').map(str::to_owned);
        let (number, parent) = (place.next()?, place.next()?);
        let (root, place) = (place.nth(1)?, place.next()?);
        Some(Mount {
            number,
            parent,
            root,
            place: place.into(),
            source: kind.split(' ').nth(1)?.to_owned(),
        })
    }

    /// The network namespace that is mounted here.
    fn namespace(&self) -> Option<&str> {
        self.root.starts_with("net:[").then_some(&self.root)
    }
}

/// The mounts that a process's first thread sees.
fn mounts(pid: u32) -> Result<Vec<Mount>> {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
    Ok(text.lines().filter_map(Mount::read).collect())
}

/// The namespace of a kind (`net`, `mnt`) that a process's first thread is in.
fn namespace_of(pid: u32, kind: &str) -> Option<String> {
    let link = fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// The network namespaces that processes of this machine are in.
fn network_namespaces() -> BTreeSet<String> {
    let processes = processes().into_iter();
    processes
        .filter_map(|pid| namespace_of(pid, "net"))
        .collect()
}

/// The programs and maps that a process holds, with its descriptors' numbers.
fn objects_of(pid: u32) -> Vec<(String, Object)> {
    let directory = PathBuf::from(format!("/proc/{pid}"));
    let descriptors = fs::read_dir(directory.join("fd")).into_iter().flatten();
    descriptors
        .flatten()
        .filter_map(|descriptor| {
            let number = descriptor.file_name().to_string_lossy().into_owned();
            let kind = fs::read_link(descriptor.path()).ok()?;
            let (key, object): (_, fn(u32) -> Object) = match kind.to_str()? {
                PROGRAM => ("prog_id:", Object::Program),
                MAP => ("map_id:", Object::Map),
                _ => return None,
            };
            let text = fs::read_to_string(directory.join("fdinfo").join(&number)).ok()?;
            let id = text.lines().find_map(|line| line.strip_prefix(key))?;
            Some((number, object(id.trim().parse().ok()?)))
        })
        .collect()
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
        .collect()
}

/// The processes that this one started, that these started, and so on, with their programs; none that has ended.
fn descendants() -> BTreeMap<u32, PathBuf> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pid in processes() {
        if let Some(parent) = parent_of(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = BTreeMap::new();
    let mut next = vec![id()];
    while let Some(parent) = next.pop() {
        for pid in children.remove(&parent).unwrap_or_default() {
            next.push(pid);
            // One that has ended has none.
            if let Ok(program) = fs::read_link(Path::new("/proc").join(pid.to_string()).join("exe"))
            {
                found.insert(pid, program);
            }
        }
    }
    found
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the last parenthesis may hold anything.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
