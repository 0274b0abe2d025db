//! Which instances are attended: those of the configuration, and those that files in `instance_dir` declare.
//!
//! Level-triggered: each look compares what is declared with who is attended.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, spawn_blocking},
};
use tracing::{info, warn};

use super::instance::{InstanceTask, Question};
use crate::{
    api::{agent::SocketQuestion, views::SocketView},
    config::{AgentConfig, Instance},
    daemon::Failure,
    dataplane::{AgentPlane, PinDir},
    metrics::agent::Scrape,
    netns::{self, NetnsError},
};

/// Everybody who is attended.
pub(super) struct Instances {
    config: AgentConfig,
    pins: PinDir,
    attended: BTreeMap<String, Attended>,
    /// What each file in `instance_dir` said when it was last whole.
    files: BTreeMap<PathBuf, Instance>,
    /// What was last complained of each file, so that it is said once.
    complaints: BTreeMap<PathBuf, String>,
    first_looks: Vec<oneshot::Receiver<Option<Failure>>>,
}

/// One who is attended.
struct Attended {
    instance: Instance,
    questions: mpsc::Sender<Question>,
    /// Whether its programs are attached.
    attached: Arc<AtomicBool>,
    /// Dropped, it ends the task.
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Instances {
    pub(super) fn new(config: AgentConfig, pins: PinDir) -> Self {
        Self {
            config,
            pins,
            attended: BTreeMap::new(),
            files: BTreeMap::new(),
            complaints: BTreeMap::new(),
            first_looks: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.attended.len()
    }

    /// Attends who is declared now, and leaves who is not any more.
    pub(super) async fn follow(&mut self) {
        let wanted = self.wanted();
        let same = |name: &String, instance: &Instance| wanted.get(name) == Some(instance);
        let leaving: Vec<String> = self
            .attended
            .iter()
            .filter(|(name, attended)| !same(name, &attended.instance))
            .map(|(name, _)| name.clone())
            .collect();
        for name in leaving {
            if let Some(attended) = self.attended.remove(&name) {
                self.leave(attended, &wanted).await;
            }
        }
        for (name, instance) in wanted {
            if !self.attended.contains_key(&name) {
                self.attend(instance);
            }
        }
    }

    /// Waits until everybody was looked at once, and fails when rights are missing for it.
    pub(super) async fn first_looks(&mut self) -> Result<(), Failure> {
        for look in self.first_looks.drain(..) {
            if let Ok(Some(denied)) = look.await {
                return Err(denied);
            }
        }
        Ok(())
    }

    /// With `instance_dir`: detaches instances that went while no agent ran. Their VIPs stay, for nobody knows where.
    pub(super) fn leave_strangers(&self) -> Result<(), Failure> {
        // The pins of an instance whose file is broken are not a stranger's.
        if self.config.instance_dir.is_none() || !self.complaints.is_empty() {
            return Ok(());
        }
        for name in self.pins.names()? {
            if !self.attended.contains_key(&name) && AgentPlane::detach(&self.pins.within(&name))? {
                info!("{name}: no longer declared, detached");
            }
        }
        Ok(())
    }

    /// Ends all attending; programs and VIPs stay.
    pub(super) async fn stop(self) {
        for attended in self.attended.into_values() {
            drop(attended.stop);
            let _ = attended.task.await;
        }
    }

    /// Asks every instance's task.
    pub(super) fn scrape(&self, scrape: Scrape) {
        let attended = self.attended.values();
        let tasks: Vec<_> = attended.map(|each| each.questions.clone()).collect();
        tokio::spawn(async move {
            let mut counts = Vec::new();
            for task in tasks {
                let (question, answer) = oneshot::channel();
                if task.send(question).await.is_ok()
                    && let Ok(Some(of_instance)) = answer.await
                {
                    counts.push(of_instance);
                }
            }
            let _ = scrape.send(counts);
        });
    }

    /// Counts the sockets of every instance that has the VIP and is attended: its programs are attached, packets reach it.
    pub(super) fn count_sockets(&self, question: SocketQuestion) {
        let SocketQuestion { query, reply } = question;
        let attended = self
            .attended
            .values()
            .filter(|each| each.attached.load(Ordering::Relaxed))
            .map(|each| &each.instance);
        let instances: Vec<Instance> = attended
            .filter(|instance| instance.vips.contains(&query.vip))
            .cloned()
            .collect();
        spawn_blocking(move || {
            let mut views = Vec::new();
            let number = query.protocol.number();
            for Instance {
                name,
                netns,
                interface,
                ..
            } in instances
            {
                let counted = netns::count_sockets(&netns, query.vip, query.port, number)
                    .and_then(|count| Ok((count, netns::addresses(&netns, &interface)?)));
                match counted {
                    Ok((established, addresses)) => {
                        views.extend(addresses.into_iter().map(|address| SocketView {
                            instance: name.clone(),
                            address,
                            established,
                        }))
                    }
                    Err(error) => warn!("{name}: its sockets were not counted: {error}"),
                }
            }
            let _ = reply.send(views);
        });
    }

    fn attend(&mut self, instance: Instance) {
        let (looked, first_look) = oneshot::channel();
        let (questions, asked) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(());
        let task = InstanceTask {
            pins: self.pins.within(&instance.name),
            instance: instance.clone(),
            config: self.config.clone(),
            plane: None,
            attached: Arc::default(),
            trouble: None,
        };
        let attached = Arc::clone(&task.attached);
        self.first_looks.retain_mut(|look| look.try_recv().is_err());
        self.first_looks.push(first_look);
        let attended = Attended {
            task: tokio::spawn(task.run(looked, asked, stopped)),
            instance: instance.clone(),
            questions,
            attached,
            stop,
        };
        self.attended.insert(instance.name, attended);
    }

    /// Detaches one who is not declared any more, or is declared at another place or with other VIPs.
    async fn leave(&self, attended: Attended, wanted: &BTreeMap<String, Instance>) {
        let Attended {
            instance,
            stop,
            task,
            ..
        } = attended;
        drop(stop);
        let _ = task.await;
        let place = |of: &Instance| (of.netns.clone(), of.interface.clone());
        let stays = wanted.get(&instance.name).map(place) == Some(place(&instance));
        // Those that somebody in the same namespace goes on serving stay.
        let others = wanted
            .values()
            .filter(|other| other.netns == instance.netns);
        let served: BTreeSet<IpAddr> = others.flat_map(|other| other.vips.clone()).collect();
        let pins = self.pins.within(&instance.name);
        let left = spawn_blocking(move || {
            let Instance {
                name, netns, vips, ..
            } = instance;
            if !stays {
                match AgentPlane::detach(&pins) {
                    Ok(true) => info!("{name}: no longer declared, detached"),
                    Ok(false) => {}
                    Err(error) => warn!("{name}: its programs were not taken off: {error}"),
                }
            }
            let going: Vec<IpAddr> = vips
                .into_iter()
                .filter(|vip| !served.contains(vip))
                .collect();
            match netns::remove_vips(&netns, &going) {
                Ok(gone) => gone
                    .iter()
                    .for_each(|vip| info!("{name}: {vip} taken off lo")),
                // It went with its namespace.
                Err(NetnsError::Missing { .. } | NetnsError::NotANamespace { .. }) => {}
                Err(error) => warn!("{name}: its VIPs stay on lo: {error}"),
            }
        });
        let _ = left.await;
    }

    /// Who is declared now; the configuration's own come first, then those of the files in the order of their names.
    fn wanted(&mut self) -> BTreeMap<String, Instance> {
        if let Some(directory) = self.config.instance_dir.clone() {
            self.read(&directory);
        }
        let mut wanted: BTreeMap<String, Instance> = BTreeMap::new();
        let own = self.config.instances.iter().cloned();
        wanted.extend(own.map(|instance| (instance.name.clone(), instance)));
        let mut clashes = Vec::new();
        for (path, instance) in &self.files {
            let place = (&instance.netns, &instance.interface);
            let taken = wanted.values().find(|other| {
                other.name == instance.name || (&other.netns, &other.interface) == place
            });
            match taken {
                Some(other) => clashes.push((
                    path.clone(),
                    format!(
                        "{}: instance {:?} has the name, or the namespace and interface, of another one, {:?}: \
                         give each its own",
                        path.display(),
                        instance.name,
                        other.name
                    ),
                )),
                None => {
                    wanted.insert(instance.name.clone(), instance.clone());
                }
            }
        }
        for (path, complaint) in clashes {
            self.complain(path, complaint);
        }
        wanted
    }

    /// Reads the files; one that is broken keeps what it last said.
    fn read(&mut self, directory: &Path) {
        let paths = match list(directory) {
            Ok(paths) => paths,
            Err(error) => {
                let complaint = format!("cannot read {}: {error}", directory.display());
                return self.complain(directory.to_owned(), complaint);
            }
        };
        self.complaints.remove(directory);
        self.files.retain(|path, _| paths.contains(path));
        self.complaints.retain(|path, _| paths.contains(path));
        for path in paths {
            let shown = path.display().to_string();
            let read = fs::read_to_string(&path)
                .map_err(|error| format!("cannot read {shown}: {error}"))
                .and_then(|text| Instance::parse(&text, &shown).map_err(|error| error.to_string()));
            match read {
                Ok(instance) => {
                    // A clash is found anew, and told anew only when the file was changed.
                    if self.files.get(&path) != Some(&instance) {
                        self.complaints.remove(&path);
                        self.files.insert(path, instance);
                    }
                }
                Err(complaint) => self.complain(path, complaint),
            }
        }
    }

    fn complain(&mut self, about: PathBuf, complaint: String) {
        if self.complaints.get(&about) != Some(&complaint) {
            warn!("{complaint}");
            self.complaints.insert(about, complaint);
        }
    }
}

/// The files `*.toml` of a directory that is there or not; hidden ones are being written.
fn list(directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let mut paths = BTreeSet::new();
    for entry in entries {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            paths.insert(path);
        }
    }
    Ok(paths)
}
