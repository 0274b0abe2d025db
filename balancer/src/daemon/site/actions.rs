//! What is planned is done, and what came of it is noted.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tracing::{error, info, warn};

use super::{
    controller::{Controller, DIGEST, SLUG, TARGET},
    tasks::Done,
    view::NOT_ALIVE,
};
use crate::{
    runtime::InstanceSpec,
    site::{self, Action},
};

/// How long what failed is left alone.
const PAUSE: Duration = Duration::from_secs(3);

impl Controller {
    /// Has everything done that can be done now.
    pub(super) fn act(&mut self) {
        let actions = self.with_world(site::plan);
        let mut to_edges: BTreeMap<String, Vec<Action>> = BTreeMap::new();
        let mut remembered = false;
        for action in actions {
            match &action {
                Action::Leave {
                    name,
                    deadline_unix_ms,
                } => {
                    info!("{name} takes no new connections, and goes when the old ones have ended");
                    self.memory.leaving.insert(name.clone(), *deadline_unix_ms);
                    remembered = true;
                }
                Action::Forget(slug) => {
                    info!("{slug} is gone");
                    self.memory.workloads.remove(slug);
                    remembered = true;
                }
                Action::Declare { edge, .. }
                | Action::Withdraw { edge, .. }
                | Action::Tell { edge, .. } => {
                    to_edges.entry(edge.clone()).or_default().push(action);
                }
                Action::Launch { name, .. } | Action::Restart(name) | Action::Remove(name) => {
                    let name = name.clone();
                    self.start(action, name);
                }
            }
        }
        let unwanted = self.with_world(site::still_unwanted);
        if remembered || unwanted != self.memory.unwanted {
            self.memory.unwanted = unwanted;
            self.save();
        }
        for (edge, actions) in to_edges {
            if let Some(link) = self.edges.get_mut(&edge) {
                link.was_told();
                let client = link.client();
                self.tasks.tell(edge, client, actions);
            }
        }
    }

    fn start(&mut self, action: Action, name: String) {
        let paused = self
            .problems
            .get(&name)
            .is_some_and(|(_, until)| Instant::now() < *until);
        if self.tasks.is_busy(&name) || paused {
            return;
        }
        match &action {
            Action::Launch { slug, target, .. } => {
                let Some(wanted) = self.memory.workloads.get(slug) else {
                    return;
                };
                let labels = [
                    (SLUG, slug.to_string()),
                    (TARGET, target.to_string()),
                    (DIGEST, wanted.workload.instance_digest()),
                ];
                let spec = InstanceSpec {
                    name: name.clone(),
                    labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
                    containers: wanted.workload.containers.clone(),
                };
                info!("{name} is launched");
                self.tasks.launch(action, spec);
            }
            Action::Restart(_) => {
                let seen = self.observed.iter().find(|seen| seen.name == name);
                let ended = seen.and_then(|seen| seen.state.end());
                let why = ended.unwrap_or_else(|| NOT_ALIVE.to_owned());
                warn!("{name} is restarted: {why}");
                self.tasks.restart(action, name);
            }
            Action::Remove(_) => {
                info!("{name} is removed");
                self.tasks.remove(action, name.clone());
                // The agent takes its programs off while the instance has its grace.
                if let Err(error) = self.dropins.remove(&name) {
                    self.warn(
                        "agent",
                        format!("the agent is not told of instances: {error}"),
                    );
                }
            }
            _ => {}
        }
    }

    /// Takes in what was done.
    pub(super) fn take_in(&mut self, done: Done) {
        let Done { subject, outcomes } = done;
        for (action, outcome) in outcomes {
            if let Some(link) = self.edges.get_mut(&subject) {
                link.was_told();
                match outcome {
                    Ok(()) => {
                        self.warnings.remove(&subject);
                        link.has_taken(&action);
                    }
                    Err(trouble) => self.warn(&subject, format!("edge {subject}: {trouble}")),
                }
                continue;
            }
            match (outcome, action) {
                (Ok(()), Action::Remove(name)) => {
                    self.memory.leaving.remove(&name);
                    self.observed.retain(|seen| seen.name != name);
                    self.save();
                }
                (Ok(()), _) => drop(self.problems.remove(&subject)),
                (Err(trouble), _) => {
                    let said = self.problems.get(&subject).map(|(said, _)| said);
                    if said != Some(&trouble) {
                        error!("{subject}: {trouble}");
                    }
                    let until = Instant::now() + PAUSE;
                    self.problems.insert(subject.clone(), (trouble, until));
                }
            }
        }
    }
}
