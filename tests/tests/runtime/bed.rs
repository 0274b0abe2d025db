//! A host with a runtime on it, in a world of its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use balancer_config::HostNetwork;
use balancer_config::workload::Container;
use balancer_site::runtime::{Builtin, Docker, InstanceSpec, Observed, Runtime, RuntimeError};
use futures::TryStreamExt;
use testbed::{CGROUPS, Engine, Namespace, World, find, image_context, program};
use tokio::runtime::Runtime as Tokio;

/// What a runtime runs on. Fields end in order.
pub(crate) struct Bed {
    runtime: RefCell<Box<dyn Runtime>>,
    pub(crate) tokio: Tokio,
    pub(crate) engine: Option<Engine>,
    pub(crate) host: Namespace,
    pub(crate) world: World,
    /// The web server and busybox, by their paths in a container.
    pub(crate) server: String,
    pub(crate) busybox: String,
}

pub(crate) const IMAGE: &str = "testbed:1";

pub(crate) fn network() -> HostNetwork {
    HostNetwork {
        bridge: "lb0".to_owned(),
        subnet: "10.77.0.0/24".parse().expect("a prefix"),
        gateway: "10.77.0.1".parse().expect("an address"),
        subnet6: None,
        gateway6: None,
        mtu: 1600,
    }
}

impl Bed {
    pub(crate) fn docker() -> Result<Bed> {
        let world = World::new()?;
        let host = world.add_namespace("host")?;
        Bed::docker_on(world, host)
    }

    pub(crate) fn docker_on(world: World, host: Namespace) -> Result<Bed> {
        let engine = Engine::start(&world, &host)?;
        let docker = Docker::connect(&engine.address(), network())?;
        let tokio = Tokio::new()?;
        tokio.block_on(
            docker
                .prepare_image(IMAGE, Some(image_context(&world)?))
                .try_for_each(|_| async { Ok(()) }),
        )?;
        Ok(Bed {
            runtime: RefCell::new(Box::new(docker)),
            tokio,
            engine: Some(engine),
            host,
            world,
            server: "/instance".to_owned(),
            busybox: "/bin/busybox".to_owned(),
        })
    }

    pub(crate) fn builtin() -> Result<Bed> {
        let world = World::new()?;
        let host = world.add_namespace("host")?;
        Bed::builtin_on(world, host)
    }

    pub(crate) fn builtin_on(world: World, host: Namespace) -> Result<Bed> {
        let bed = Bed {
            runtime: RefCell::new(Box::new(new_builtin(&world, &host)?)),
            tokio: Tokio::new()?,
            engine: None,
            host,
            server: program("instance")?.display().to_string(),
            busybox: find("busybox")?.display().to_string(),
            world,
        };
        Ok(bed)
    }

    /// What a daemon has after its restart.
    pub(crate) fn restart_daemon(&self) {
        let again: Box<dyn Runtime> = match &self.engine {
            Some(engine) => {
                Box::new(Docker::connect(&engine.address(), network()).expect("docker"))
            }
            None => Box::new(new_builtin(&self.world, &self.host).expect("builtin")),
        };
        *self.runtime.borrow_mut() = again;
    }

    pub(crate) fn with<T>(
        &self,
        work: impl AsyncFnOnce(&dyn Runtime) -> Result<T, RuntimeError>,
    ) -> Result<T, RuntimeError> {
        let runtime = self.runtime.borrow();
        self.tokio.block_on(work(&**runtime))
    }

    pub(crate) fn launch(&self, spec: &InstanceSpec) -> Result<(), RuntimeError> {
        self.with(async |runtime| runtime.launch(spec).await)
    }

    pub(crate) fn list(&self) -> Vec<Observed> {
        self.with(async |runtime| runtime.list().await)
            .expect("list")
    }

    pub(crate) fn only(&self) -> Observed {
        let mut seen = self.list();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// Lines of the log that is there.
    pub(crate) fn log(&self, name: &str, tail: Option<usize>) -> Vec<String> {
        self.with(async |runtime| {
            let lines = runtime.logs(name, tail, false).await?;
            lines
                .map_ok(|line| format!("{} | {}", line.container, line.text))
                .try_collect()
                .await
        })
        .expect("log")
    }

    /// A web server that says `name`.
    pub(crate) fn web(&self, name: &str) -> InstanceSpec {
        instance(name, vec![self.serving("web", name, 8000)])
    }

    pub(crate) fn serving(&self, container: &str, name: &str, port: u16) -> Container {
        let port = port.to_string();
        let command = [&self.server, "--name", name, "--log", "--port", &port];
        plain(container, command.map(str::to_owned).to_vec())
    }

    /// A script of busybox's shell.
    pub(crate) fn shell(&self, name: &str, script: &str) -> InstanceSpec {
        let command = [self.busybox.as_str(), "sh", "-c", script];
        instance(
            name,
            vec![plain("main", command.map(str::to_owned).to_vec())],
        )
    }

    /// Leaves what a daemon leaves that was killed during a launch.
    pub(crate) fn interrupt(&self, spec: &InstanceSpec) {
        self.launch(spec).expect("launch");
        let Some(engine) = &self.engine else {
            let record = self.state_directory().join(&spec.name).join("record.json");
            let whole = std::fs::read_to_string(&record).expect("a record");
            std::fs::write(&record, whole.replace("\"made\":true", "\"made\":false"))
                .expect("write");
            return;
        };
        // The same container, made and not started.
        let made = engine.containers().expect("containers").remove(0);
        let id = made["Id"].as_str().expect("an id");
        engine
            .ask("DELETE", &format!("/v1.41/containers/{id}?force=1"))
            .expect("remove");
        let name = made["Names"][0]
            .as_str()
            .expect("a name")
            .trim_start_matches('/');
        let body = serde_json::json!({ "Image": IMAGE, "Labels": made["Labels"] });
        engine
            .post(&format!("/v1.41/containers/create?name={name}"), &body)
            .expect("create");
    }

    /// The built-in runtime's cgroups of a container.
    pub(crate) fn cgroup_of(&self, instance: &str, container: &str) -> Vec<PathBuf> {
        let below = PathBuf::from(CGROUPS)
            .join(self.world.name())
            .join(instance)
            .join(container);
        let mounts = std::fs::read_dir("/sys/fs/cgroup")
            .expect("cgroups")
            .flatten()
            .map(|entry| entry.path());
        let roots = mounts.chain([PathBuf::from("/sys/fs/cgroup")]);
        roots
            .map(|root| root.join(&below))
            .filter(|place| place.is_dir())
            .collect()
    }

    /// Attaches a native program to an instance's interface.
    pub(crate) fn native_xdp(&self, netns: &std::path::Path) -> Result<()> {
        let inside = Namespace::adopt("instance", netns)?;
        testbed::attach_pass(&self.world, &inside, "eth0")
    }

    pub(crate) fn state_directory(&self) -> PathBuf {
        self.world.directory().join("instances")
    }
}

impl Drop for Bed {
    /// Processes of the built-in runtime outlive their daemon by design.
    fn drop(&mut self) {
        let removed = self.with(async |runtime| {
            for instance in runtime.list().await? {
                runtime.remove(&instance.name).await?;
            }
            Ok(())
        });
        if let Err(error) = removed {
            eprintln!("instances stay behind: {error}");
        }
    }
}

fn new_builtin(world: &World, host: &Namespace) -> Result<Builtin> {
    let directory = world.directory().join("instances");
    let cgroup = format!("{CGROUPS}/{}", world.name());
    let mut builtin = Builtin::new(network(), directory, cgroup)?;
    builtin.supervisor(program("lbd")?);
    builtin.host_netns(host.path());
    Ok(builtin)
}

pub(crate) fn instance(name: &str, containers: Vec<Container>) -> InstanceSpec {
    InstanceSpec {
        name: name.to_owned(),
        labels: BTreeMap::from([
            ("workload".to_owned(), "web".to_owned()),
            ("digest".to_owned(), "0123456789abcdef".to_owned()),
        ]),
        containers,
    }
}

pub(crate) fn plain(name: &str, command: Vec<String>) -> Container {
    Container {
        name: name.parse().expect("a label"),
        image: IMAGE.to_owned(),
        command,
        ports: Vec::new(),
        cpu_millis: 500,
        memory_bytes: 64 << 20,
        env: BTreeMap::new(),
        sensitive: Default::default(),
        readiness: None,
        liveness: None,
    }
}
