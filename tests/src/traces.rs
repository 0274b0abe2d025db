//! What a run could leave behind on the machine, taken before and compared after.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aya::programs::{loaded_links, loaded_programs};
use balancer::dataplane::map_ids;

use crate::sweep::cgroups;
use crate::{program, wait_for};

/// `BPF_PROG_TYPE_SCHED_CLS` and `BPF_PROG_TYPE_XDP`; others (systemd's for cgroups) come and go.
const OUR_PROGRAM_TYPES: [u32; 2] = [3, 6];

/// The kernel frees BPF objects some time after their last user.
const PATIENCE: Duration = Duration::from_secs(10);

/// Programs of container engines, by the beginnings of their names.
const ENGINE_PROGRAMS: [&str; 3] = ["dockerd", "containerd", "runc"];

/// The web server in a container of [`image_context`](crate::image_context).
const IN_IMAGE: &str = "/instance";

/// Namespaces, BPF objects, mounts, cgroups and processes, as this process's first thread sees the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces(BTreeSet<String>);

impl Traces {
    /// Looks around.
    pub fn take() -> Result<Traces> {
        let mut things = BTreeSet::new();
        // The first thread's view, also when a world has given the calling one its own.
        if let Ok(namespaces) = fs::read_dir("/proc/self/root/run/netns") {
            for namespace in namespaces {
                things.insert(format!("namespace {}", namespace?.file_name().display()));
            }
        }
        for mount in fs::read_to_string("/proc/self/mountinfo")?.lines() {
            things.insert(format!(
                "mount {}",
                mount.split(' ').nth(4).context("a mount has a place")?
            ));
        }
        for program in loaded_programs() {
            let program = program?;
            if OUR_PROGRAM_TYPES.contains(&(program.program_type() as u32)) {
                let name = program.name_as_str().unwrap_or_default();
                things.insert(format!("program {} {name}", program.id()));
            }
        }
        // By their numbers: looking at a map's name takes hold of it.
        for id in map_ids().context("cannot list the maps")? {
            things.insert(format!("map {id}"));
        }
        for link in loaded_links() {
            things.insert(format!("link {}", link?.id()));
        }
        for cgroup in cgroups() {
            things.insert(format!("cgroup {}", cgroup.display()));
        }
        processes(&mut things)?;
        Ok(Traces(things))
    }

    /// Fails if anything stays that was not there then, and names it.
    pub fn nothing_new(&self) -> Result<()> {
        wait_for("the machine to be as before", PATIENCE, || {
            let new = self.new_now()?;
            if !new.is_empty() {
                bail!("left behind: {}", new.join(", "));
            }
            Ok(())
        })
    }

    /// What is there now that was not there then.
    pub fn new_now(&self) -> Result<Vec<String>> {
        let now = Traces::take()?;
        Ok(now.0.difference(&self.0).cloned().collect())
    }
}

/// Processes that run a program of this build, a container engine, or what a container's image brought along.
fn processes(things: &mut BTreeSet<String>) -> Result<()> {
    let own = program("instance")?;
    let directory = own.parent().context("a program lies in a directory")?;
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let pid = entry.file_name();
        // Gone meanwhile, a thread of the kernel, or no process at all.
        let Ok(program) = fs::read_link(entry.path().join("exe")) else {
            continue;
        };
        let is_engines = program.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            ENGINE_PROGRAMS
                .iter()
                .any(|engine| name.starts_with(engine))
        });
        let is_ours = program.parent() == Some(directory) || program == Path::new(IN_IMAGE);
        if (is_ours || is_engines) && Path::new("/proc").join(&pid).is_dir() {
            things.insert(format!("process {} {}", pid.display(), program.display()));
        }
    }
    Ok(())
}
