//! Limits and accounts of containers: cgroups, of both versions, wherever each controller is.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use balancer_config::workload::Container;

use super::record::Record;
use crate::runtime::RuntimeError;

/// Where a controller is mounted.
enum Mount {
    One(PathBuf),
    Two(PathBuf),
}

/// A container's cgroups: the files that a process enters them by, and what could not be limited.
pub(super) struct Limits {
    pub(super) entrances: Vec<PathBuf>,
    pub(super) notes: Vec<String>,
}

/// The period of a CPU quota, in microseconds.
const PERIOD_US: u64 = 100_000;

/// Makes a container's cgroups, with its requests as limits.
pub(super) fn limit(parent: &str, record: &Record, container: &Container) -> Limits {
    let place = place(parent, record, container);
    let quota = u64::from(container.cpu_millis) * PERIOD_US / 1000;
    let memory = container.memory_bytes.to_string();
    let mut limits = Limits {
        entrances: Vec::new(),
        notes: Vec::new(),
    };
    let cpu_one = [
        ("cpu.cfs_period_us", PERIOD_US.to_string()),
        ("cpu.cfs_quota_us", quota.to_string()),
    ];
    let cpu_two = [("cpu.max", format!("{quota} {PERIOD_US}"))];
    let memory_one = [("memory.limit_in_bytes", memory.clone())];
    let memory_two = [("memory.max", memory)];
    let wanted: [(&str, &[_], &[_]); 3] = [
        ("cpu", &cpu_one, &cpu_two),
        ("memory", &memory_one, &memory_two),
        ("cpuacct", &[], &[]),
    ];
    for (controller, one, two) in wanted {
        match apply(controller, &place, one, two) {
            Ok(entrance) if limits.entrances.contains(&entrance) => {}
            Ok(entrance) => limits.entrances.push(entrance),
            Err(error) => limits.notes.push(format!(
                "container {} has no limit or account of {controller}: {error}",
                container.name
            )),
        }
    }
    limits
}

/// CPU time of all containers, in nanoseconds.
pub(super) fn cpu_ns(parent: &str, record: &Record) -> Result<u64, RuntimeError> {
    let mut sum = 0;
    for container in &record.spec.containers {
        let place = place(parent, record, container);
        let path = match find("cpuacct") {
            Ok(Mount::One(root)) => root.join(&place).join("cpuacct.usage"),
            Ok(Mount::Two(root)) => root.join(&place).join("cpu.stat"),
            Err(source) => return Err(RuntimeError::file("measure", place)(source)),
        };
        let text = fs::read_to_string(&path).map_err(RuntimeError::file("read", &path))?;
        let used = match text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "))
        {
            Some(used) => used.trim().parse::<u64>().map(|used| used * 1000),
            None => text.trim().parse(),
        };
        sum += used.map_err(|error| RuntimeError::file("read", path)(io::Error::other(error)))?;
    }
    Ok(sum)
}

/// Every process of a container, by any of its cgroups.
pub(super) fn processes(parent: &str, record: &Record, container: &Container) -> Vec<i32> {
    let place = place(parent, record, container);
    let mut pids: Vec<i32> = roots()
        .filter_map(|root| fs::read_to_string(root.join(&place).join("cgroup.procs")).ok())
        .flat_map(|text| {
            text.lines()
                .filter_map(|line| line.parse().ok())
                .collect::<Vec<i32>>()
        })
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Removes an instance's cgroups, which are empty. One that stays is used again by the next of its name.
pub(super) fn remove(parent: &str, record: &Record) {
    let instance = Path::new(parent).join(&record.spec.name);
    for root in roots() {
        let containers = record
            .spec
            .containers
            .iter()
            .map(|container| place(parent, record, container));
        for place in containers.chain([instance.clone()]) {
            // The kernel needs a moment after the last process.
            for _ in 0..50 {
                match fs::remove_dir(root.join(&place)) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    _ => break,
                }
            }
        }
        // The parent goes with its last instance; with others in it, this fails.
        for parent in Path::new(parent)
            .ancestors()
            .filter(|path| !path.as_os_str().is_empty())
        {
            let _ = fs::remove_dir(root.join(parent));
        }
    }
}

fn place(parent: &str, record: &Record, container: &Container) -> PathBuf {
    Path::new(parent)
        .join(&record.spec.name)
        .join(container.name.as_str())
}

fn apply(
    controller: &str,
    place: &Path,
    one: &[(&str, String)],
    two: &[(&str, String)],
) -> io::Result<PathBuf> {
    let mount = find(controller)?;
    let (root, files) = match &mount {
        Mount::One(root) => (root, one),
        Mount::Two(root) => (root, two),
    };
    let directory = root.join(place);
    fs::create_dir_all(&directory)?;
    if matches!(mount, Mount::Two(_)) && !files.is_empty() {
        let parents: Vec<&Path> = place.ancestors().skip(1).collect();
        for parent in parents.into_iter().rev() {
            fs::write(
                root.join(parent).join("cgroup.subtree_control"),
                format!("+{controller}"),
            )?;
        }
    }
    for (file, value) in files {
        fs::write(directory.join(file), value)?;
    }
    Ok(directory.join("cgroup.procs"))
}

/// Where a controller is. Version 2 counts CPU time without one.
fn find(controller: &str) -> io::Result<Mount> {
    let mounts = mounts()?;
    let one = mounts.iter().find(|(kind, _, options)| {
        kind == "cgroup" && options.split(',').any(|option| option == controller)
    });
    if let Some((_, root, _)) = one {
        return Ok(Mount::One(root.clone()));
    }
    let two = mounts.into_iter().find(|(kind, root, _)| {
        let has = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        kind == "cgroup2"
            && (controller == "cpuacct" || has.split_whitespace().any(|has| has == controller))
    });
    match two {
        Some((_, root, _)) => Ok(Mount::Two(root)),
        None => Err(io::Error::other(format!(
            "the cgroup controller {controller} is nowhere mounted"
        ))),
    }
}

fn roots() -> impl Iterator<Item = PathBuf> {
    let roots: Vec<PathBuf> = ["cpu", "memory", "cpuacct"]
        .into_iter()
        .filter_map(|controller| match find(controller).ok()? {
            Mount::One(root) | Mount::Two(root) => Some(root),
        })
        .collect();
    roots.into_iter()
}

/// Type, place and options of each mount.
fn mounts() -> io::Result<Vec<(String, PathBuf, String)>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let parse = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let place = front.split(' ').nth(4)?;
        let mut back = back.split(' ');
        let kind = back.next()?.to_owned();
        Some((kind, place.into(), back.nth(1)?.to_owned()))
    };
    Ok(text.lines().filter_map(parse).collect())
}
