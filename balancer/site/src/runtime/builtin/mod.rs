//! Instances without a container engine: processes in a network namespace of their own, with limits of their own.
//!
//! `command` is run from the host's own files; `image` is not looked at, and notes say so. Each container has a
//! supervisor, a process that outlives the daemon, keeps the log and writes down how the container ended. All that is
//! known of an instance is in its directory below the state directory:
//!
//! ```text
//! NAME/record.json              the specification, addresses, restarts
//! NAME/netns                    its network namespace, mounted here
//! NAME/CONTAINER/run.json       what to run
//! NAME/CONTAINER/process.json   which processes it is: pid and start time
//! NAME/CONTAINER/exit.json      how it ended
//! NAME/CONTAINER/log, log.1     what it wrote
//! ```

mod address;
mod cgroup;
mod link;
mod log;
mod namespace;
mod process;
mod record;
mod start;
mod supervisor;

use std::path::PathBuf;

use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::sync::Mutex;

use balancer_config::HostNetwork;

use super::{InstanceSpec, LogLine, Observed, Runtime, RuntimeError, State};
use record::Record;

pub use supervisor::supervise;

/// A host's instances without an engine.
pub struct Builtin {
    network: HostNetwork,
    directory: PathBuf,
    cgroup: String,
    supervisor: Option<PathBuf>,
    host_netns: Option<PathBuf>,
    /// Held while an address and a name for a link are chosen.
    choosing: Mutex<()>,
}

impl Builtin {
    /// `directory` keeps the state, best below `/run`: it lives as long as processes do. `cgroup` is where instances'
    /// cgroups go, from the root of each hierarchy, such as `balancer`.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made.
    pub fn new(
        network: HostNetwork,
        directory: PathBuf,
        cgroup: String,
    ) -> Result<Self, RuntimeError> {
        std::fs::create_dir_all(&directory).map_err(RuntimeError::file("make", &directory))?;
        Ok(Self {
            network,
            directory,
            cgroup,
            supervisor: None,
            host_netns: None,
            choosing: Mutex::new(()),
        })
    }

    /// The program that has `supervise`, when it is not this one: `lbd`.
    pub fn supervisor(&mut self, program: PathBuf) {
        self.supervisor = Some(program);
    }

    /// The network namespace that the bridge is in, when it is not this process's.
    pub fn host_netns(&mut self, path: PathBuf) {
        self.host_netns = Some(path);
    }

    async fn launch_instance(&self, spec: &InstanceSpec) -> Result<(), RuntimeError> {
        spec.check()?;
        start::check_commands(spec)?;
        match Record::load(&self.directory, &spec.name)? {
            Some(record) if record.made && record.spec == *spec => return Ok(()),
            Some(record) if record.made => {
                return Err(RuntimeError::Exists {
                    instance: record.spec.name,
                });
            }
            Some(_) => self.remove_instance(&spec.name).await?,
            None => {}
        }
        let made = self.make(spec).await;
        if made.is_err() {
            // The error of the launch is the one to tell; what stays is cleaned by the next.
            let _ = self.remove_instance(&spec.name).await;
        }
        made
    }

    async fn make(&self, spec: &InstanceSpec) -> Result<(), RuntimeError> {
        let mut record = {
            let _chosen = self.choosing.lock().await;
            let record = Record::new(spec, &self.network, &Record::all(&self.directory)?)?;
            record.save(&self.directory)?;
            record
        };
        let netns = record.netns(&self.directory);
        namespace::make(&netns)?;
        link::connect(&self.network, self.host_netns.as_deref(), &netns, &record).await?;
        self.start_all(&mut record).await?;
        record.made = true;
        record.save(&self.directory)
    }

    async fn restart_instance(&self, name: &str) -> Result<(), RuntimeError> {
        let mut record = self.existing(name)?;
        self.stop(&record).await?;
        record.restarts += 1;
        record.save(&self.directory)?;
        self.start_all(&mut record).await?;
        record.save(&self.directory)
    }

    async fn remove_instance(&self, name: &str) -> Result<(), RuntimeError> {
        let Some(record) = Record::load(&self.directory, name)? else {
            return Ok(());
        };
        self.stop(&record).await?;
        cgroup::remove(&self.cgroup, &record);
        link::disconnect(self.host_netns.as_deref(), &record).await?;
        namespace::unmake(&record.netns(&self.directory))?;
        record.remove(&self.directory)
    }

    fn existing(&self, name: &str) -> Result<Record, RuntimeError> {
        Record::load(&self.directory, name)?.ok_or_else(|| RuntimeError::NoInstance {
            instance: name.to_owned(),
        })
    }

    fn observe(&self, record: Record) -> Observed {
        let containers = record.spec.containers.iter();
        let state = match record.made {
            false => State::Incomplete,
            true => Observed::state_of(containers.map(|container| {
                let end = process::end(&record.container(&self.directory, container))?;
                Some((container.name.to_string(), end.code, end.at_unix_ms))
            })),
        };
        Observed {
            netns: record.netns(&self.directory),
            addresses: record.addresses(),
            name: record.spec.name,
            labels: record.spec.labels,
            state,
            restarts: record.restarts,
            started_unix_ms: record.started_unix_ms,
            notes: record.notes,
        }
    }
}

impl Runtime for Builtin {
    fn kind(&self) -> &'static str {
        "builtin"
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Observed>, RuntimeError>> {
        async {
            let records = Record::all(&self.directory)?;
            Ok(records
                .into_iter()
                .map(|record| self.observe(record))
                .collect())
        }
        .boxed()
    }

    fn launch<'a>(&'a self, spec: &'a InstanceSpec) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.launch_instance(spec).boxed()
    }

    fn restart<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.restart_instance(name).boxed()
    }

    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.remove_instance(name).boxed()
    }

    fn prepare_image<'a>(
        &'a self,
        image: &'a str,
        _context: Option<Vec<u8>>,
    ) -> BoxStream<'a, Result<String, RuntimeError>> {
        let line = format!(
            "image {image} is not used: the built-in runtime runs commands from this host's files"
        );
        stream::iter([Ok(line)]).boxed()
    }

    fn logs<'a>(
        &'a self,
        name: &'a str,
        tail: Option<usize>,
        follow: bool,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError>>
    {
        async move {
            let record = self.existing(name)?;
            let logs = record.spec.containers.iter().map(|container| {
                let directory = record.container(&self.directory, container);
                log::read(container.name.to_string(), directory, tail, follow)
            });
            Ok(stream::select_all(logs.collect::<Vec<_>>()).boxed())
        }
        .boxed()
    }

    fn cpu_ns<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, RuntimeError>> {
        async move { cgroup::cpu_ns(&self.cgroup, &self.existing(name)?) }.boxed()
    }
}
