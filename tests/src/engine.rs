//! Docker's engine, started by hand: its own data, socket, network and processes, and gone with its world.

use std::cell::RefCell;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use serde_json::Value;

use crate::namespace::{Namespace, output};
use crate::process::Process;
use crate::sweep::CGROUPS;
use crate::world::World;
use crate::{program, wait_for};

/// The first start on a busy machine.
const START: Duration = Duration::from_secs(30);

/// The engine below a first process that waits for orphans, as an engine does not.
const FIRST_PROCESS: &str = "\"$@\" & wait $!";

/// An engine in namespaces of its own. Its containers, and it itself, end when it is dropped, and however its owner ends:
/// all their processes are in a PID namespace, whose first one dies with the owner.
pub struct Engine {
    socket: PathBuf,
    process: Rc<RefCell<Process>>,
}

impl Engine {
    /// Starts one and waits until it answers. Its forwarding is on, and it leaves packet filters alone.
    pub fn start(world: &World, namespace: &Namespace) -> Result<Engine> {
        let name = format!("engine-{}", namespace.name());
        let directory = world.directory().join(&name);
        fs::create_dir(&directory)?;
        let exec = directory.join("exec");
        fs::create_dir(&exec)?;
        share(&exec)?;
        let socket = directory.join("docker.sock");
        let path = |file: &str| directory.join(file).display().to_string();
        let host = format!("unix://{}", socket.display());
        let search = format!("PATH={}", search_path().to_string_lossy());
        let cgroup = format!("/{CGROUPS}/{}/{name}", world.name());
        let arguments = [
            &search,
            "unshare",
            "--pid",
            "--fork",
            "--kill-child=KILL",
            "--mount-proc",
            // But for the network namespaces of containers, which others have to find.
            "--propagation=unchanged",
            "sh",
            "-c",
            FIRST_PROCESS,
            "engine",
            "dockerd",
            "--data-root",
            &path("data"),
            "--exec-root",
            &path("exec"),
            "--pidfile",
            &path("pid"),
            "--host",
            &host,
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--userland-proxy=false",
            "--cgroup-parent",
            &cgroup,
        ];
        find("dockerd")?;
        let process = world.start(&name, namespace, "env", &arguments)?;
        let engine = Engine { socket, process };
        wait_for("the container engine", START, || {
            if !engine.process.borrow_mut().is_running() {
                bail!("it ended: {}", engine.process.borrow().log_tail());
            }
            engine.ask("GET", "/_ping").map(drop)
        })?;
        Ok(engine)
    }

    /// Where it listens, as a host's `engine` is written.
    pub fn address(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Every container that it has, also ended ones, as its API lists them.
    pub fn containers(&self) -> Result<Vec<Value>> {
        Ok(serde_json::from_str(
            &self.ask("GET", "/v1.41/containers/json?all=1")?,
        )?)
    }

    /// One request; the answer's body.
    pub fn ask(&self, method: &str, path: &str) -> Result<String> {
        self.request(&["--request", method], path)
    }

    /// Posts JSON; the answer's body.
    pub fn post(&self, path: &str, body: &Value) -> Result<String> {
        let header = "Content-Type: application/json";
        self.request(&["--header", header, "--data", &body.to_string()], path)
    }

    fn request(&self, arguments: &[&str], path: &str) -> Result<String> {
        output(
            Command::new("curl")
                .args([
                    "--silent",
                    "--show-error",
                    "--fail-with-body",
                    "--max-time",
                    "30",
                ])
                .args(arguments)
                .arg("--unix-socket")
                .arg(&self.socket)
                .arg(format!("http://engine{path}")),
        )
    }

    fn end(&self) -> Result<()> {
        for container in self.containers()? {
            let id = container["Id"].as_str().context("a container has an id")?;
            self.ask("DELETE", &format!("/v1.41/containers/{id}?force=1&v=1"))?;
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("the container engine did not end well: {error:#}");
        }
        // Nothing that it could still write down is needed by anybody.
        self.process.borrow_mut().kill();
    }
}

/// Makes mounts below a directory seen by those who leave this mount namespace later, and theirs seen here.
fn share(directory: &Path) -> Result<()> {
    let none = None::<&str>;
    mount(Some(directory), directory, none, MsFlags::MS_BIND, none)
        .and_then(|()| mount(none, directory, none, MsFlags::MS_SHARED, none))
        .with_context(|| format!("cannot share mounts below {}", directory.display()))
}

/// A build context for the image of the tests, a tar: `busybox`, and the testbed's web server `/instance`.
pub fn image_context(world: &World) -> Result<Vec<u8>> {
    let root = world.directory().join("image");
    if !root.is_dir() {
        fs::create_dir_all(root.join("bin"))?;
        fs::copy(find("busybox")?, root.join("bin/busybox"))?;
        symlink("busybox", root.join("bin/sh"))?;
        let server = program("instance")?;
        fs::copy(&server, root.join("instance"))?;
        for library in libraries(&server)? {
            let place = root.join(library.strip_prefix("/")?);
            fs::create_dir_all(place.parent().context("a library is in a directory")?)?;
            fs::copy(&library, place)?;
        }
        fs::write(
            root.join("Dockerfile"),
            "FROM scratch\nCOPY . /\nENTRYPOINT [\"/instance\"]\n",
        )?;
    }
    let mut tar = tar::Builder::new(Vec::new());
    tar.follow_symlinks(false);
    tar.append_dir_all(".", &root)?;
    Ok(tar.into_inner()?)
}

/// What a program is linked with, by the loader's own words.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let listed = output(Command::new("ldd").arg(program))?;
    let paths = listed
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

/// A program on the search path.
pub fn find(name: &str) -> Result<PathBuf> {
    env::split_paths(&search_path())
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{name} is missing: `cargo xtask test` installs what tests need"))
}

/// `PATH`, where root's programs are, and where set-up unpacks the engine.
fn search_path() -> OsString {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let cache = variable("BALANCER_CACHE").map(PathBuf::from).or_else(|| {
        let caches = variable("XDG_CACHE_HOME").map(PathBuf::from);
        let caches = caches.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")))?;
        Some(caches.join("balancer"))
    });
    let own = cache
        .map(|cache| ["usr/bin", "usr/sbin", "bin"].map(|part| cache.join("engine").join(part)));
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .chain(own.into_iter().flatten());
    env::join_paths(places).unwrap_or(path)
}
