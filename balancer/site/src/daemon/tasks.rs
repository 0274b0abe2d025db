//! What takes time is done beside the control loop: one thing at a time for each instance and for each edge.

use std::{collections::BTreeSet, sync::Arc};

use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::messages::Outcomes;
use crate::{
    runtime::{InstanceSpec, Runtime, RuntimeError},
    site::InstanceAction,
};

/// What is being done.
pub(super) struct Tasks {
    runtime: Arc<dyn Runtime>,
    running: JoinSet<Finished>,
    /// The instances that something is being done with.
    instances: BTreeSet<String>,
    /// The edges that are being told something.
    edges: BTreeSet<String>,
}

/// What was done.
pub(super) enum Finished {
    /// Something with an instance.
    Instance {
        action: InstanceAction,
        outcome: Result<(), String>,
    },
    /// An edge was told things; when it did not answer, no more than those.
    Edge { name: String, outcomes: Outcomes },
}

impl Tasks {
    pub(super) fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self {
            runtime,
            running: JoinSet::new(),
            instances: BTreeSet::new(),
            edges: BTreeSet::new(),
        }
    }

    /// Whether something is being done with an instance.
    pub(super) fn is_instance_busy(&self, name: &str) -> bool {
        self.instances.contains(name)
    }

    /// Whether an edge is being told something.
    pub(super) fn is_edge_busy(&self, name: &str) -> bool {
        self.edges.contains(name)
    }

    /// Whether anything is being done.
    #[cfg(test)]
    pub(super) fn are_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Runs the telling of an edge.
    pub(super) fn tell(
        &mut self,
        name: String,
        telling: impl Future<Output = Outcomes> + Send + 'static,
    ) {
        self.edges.insert(name.clone());
        self.running.spawn(async move {
            let outcomes = telling.await;
            Finished::Edge { name, outcomes }
        });
    }

    /// Launches an instance, its images first.
    pub(super) fn launch(&mut self, action: InstanceAction, spec: InstanceSpec) {
        let runtime = Arc::clone(&self.runtime);
        self.run(action, async move {
            for container in &spec.containers {
                // In the store already, as a rule; nobody waits for a line.
                runtime
                    .prepare_image(&container.image, None)
                    .try_for_each(|_| async { Ok(()) })
                    .await?;
            }
            runtime.launch(&spec).await
        });
    }

    /// Restarts an instance.
    pub(super) fn restart(&mut self, action: InstanceAction) {
        let (runtime, name) = (Arc::clone(&self.runtime), action.name().to_owned());
        self.run(action, async move { runtime.restart(&name).await });
    }

    /// Removes an instance.
    pub(super) fn remove(&mut self, action: InstanceAction) {
        let (runtime, name) = (Arc::clone(&self.runtime), action.name().to_owned());
        self.run(action, async move { runtime.remove(&name).await });
    }

    fn run(
        &mut self,
        action: InstanceAction,
        task: impl Future<Output = Result<(), RuntimeError>> + Send + 'static,
    ) {
        self.instances.insert(action.name().to_owned());
        self.running.spawn(async move {
            let outcome = task.await.map_err(|error| error.to_string());
            Finished::Instance { action, outcome }
        });
    }

    /// The next thing that is done; never while nothing is being done.
    pub(super) async fn next(&mut self) -> Finished {
        loop {
            match self.running.join_next().await {
                Some(Ok(finished)) => {
                    match &finished {
                        Finished::Instance { action, .. } => self.instances.remove(action.name()),
                        Finished::Edge { name, .. } => self.edges.remove(name),
                    };
                    return finished;
                }
                // A task that panicked has said so; its subject stays busy, so that it is looked at.
                Some(Err(error)) => tracing::error!("work on an instance or edge ended: {error}"),
                None => std::future::pending().await,
            }
        }
    }
}
