//! What takes time is done beside the keeper: one thing at a time for each instance and for each edge.

use std::{collections::BTreeSet, sync::Arc};

use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::edges::{Speaker, tell};
use crate::{
    api::client::{Client, ClientError},
    runtime::{InstanceSpec, Runtime, RuntimeError},
    site::Action,
};

/// What is being done.
pub(super) struct Work {
    runtime: Arc<dyn Runtime>,
    speaker: Speaker,
    tasks: JoinSet<Done>,
    /// The instances and edges that something is being done to.
    busy: BTreeSet<String>,
}

/// What came of it.
pub(super) struct Done {
    /// The instance or edge.
    pub(super) subject: String,
    /// What was done, in order; when the edge did not answer nothing more was.
    pub(super) outcomes: Vec<(Action, Result<(), String>)>,
}

impl Work {
    pub(super) fn new(runtime: Arc<dyn Runtime>, speaker: Speaker) -> Self {
        Self {
            runtime,
            speaker,
            tasks: JoinSet::new(),
            busy: BTreeSet::new(),
        }
    }

    /// Whether something is being done to an instance or an edge.
    pub(super) fn is_busy(&self, subject: &str) -> bool {
        self.busy.contains(subject)
    }

    /// Tells an edge these things, one after the other: what it refuses holds nothing else up.
    pub(super) fn tell(&mut self, edge: String, client: Client, actions: Vec<Action>) {
        let speaker = self.speaker.clone();
        self.busy.insert(edge.clone());
        self.tasks.spawn(async move {
            Done {
                subject: edge,
                outcomes: tell_all(&client, &speaker, actions).await,
            }
        });
    }

    /// Launches an instance, its images first.
    pub(super) fn launch(&mut self, action: Action, spec: InstanceSpec) {
        let runtime = Arc::clone(&self.runtime);
        self.run(spec.name.clone(), action, async move {
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
    pub(super) fn restart(&mut self, action: Action, name: String) {
        let runtime = Arc::clone(&self.runtime);
        self.run(
            name.clone(),
            action,
            async move { runtime.restart(&name).await },
        );
    }

    /// Removes an instance.
    pub(super) fn remove(&mut self, action: Action, name: String) {
        let runtime = Arc::clone(&self.runtime);
        self.run(
            name.clone(),
            action,
            async move { runtime.remove(&name).await },
        );
    }

    fn run(
        &mut self,
        subject: String,
        action: Action,
        work: impl Future<Output = Result<(), RuntimeError>> + Send + 'static,
    ) {
        self.busy.insert(subject.clone());
        self.tasks.spawn(async move {
            let outcome = work.await.map_err(|error| error.to_string());
            Done {
                subject,
                outcomes: vec![(action, outcome)],
            }
        });
    }

    /// The next thing that is done; never while nothing is being done.
    pub(super) async fn done(&mut self) -> Done {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(done)) => {
                    self.busy.remove(&done.subject);
                    return done;
                }
                // A task that panicked has said so; its subject stays busy, so that it is looked at.
                Some(Err(error)) => tracing::error!("work on an instance or edge ended: {error}"),
                None => std::future::pending().await,
            }
        }
    }
}

/// Tells an edge one thing after the other, until it does not answer.
async fn tell_all(
    client: &Client,
    speaker: &Speaker,
    actions: Vec<Action>,
) -> Vec<(Action, Result<(), String>)> {
    let mut outcomes = Vec::new();
    for action in actions {
        let told = tell(client, speaker, &action).await;
        let answered = matches!(&told, Ok(()) | Err(ClientError::Refused { .. }));
        outcomes.push((action, told.map_err(|error| error.to_string())));
        if !answered {
            break;
        }
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, extract::Path, http::StatusCode, routing::delete};
    use tokio::net::TcpListener;

    use super::*;
    use crate::{
        api::replies::{ErrorCode, ErrorReply},
        model::Endpoint,
    };

    async fn refuse(Path(name): Path<String>) -> (StatusCode, Json<ErrorReply>) {
        let reply = ErrorReply::new(ErrorCode::Conflict, format!("not {name}"));
        (StatusCode::CONFLICT, Json(reply))
    }

    // Promise: F2
    #[tokio::test]
    async fn what_an_edge_refuses_holds_nothing_up_and_its_silence_does() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/services/{name}", delete(refuse));
        let edge = tokio::spawn(axum::serve(listener, router).into_future());
        let endpoint: Endpoint = format!("http://{address}").parse().unwrap();
        let client = Client::new(endpoint);
        let speaker = Speaker {
            city: "SEA".parse().unwrap(),
            agent: "http://agent:9108".to_owned(),
        };
        let withdraw = |service: &str| Action::Withdraw {
            edge: "edge-0".to_owned(),
            service: service.parse().unwrap(),
        };
        let actions = ["web", "dns"].map(withdraw).to_vec();
        let outcomes = tell_all(&client, &speaker, actions.clone()).await;
        let said: Vec<String> = outcomes
            .into_iter()
            .filter_map(|(_, told)| told.err())
            .collect();
        assert_eq!(said, ["not web", "not dns"]);
        edge.abort();
        let _ = edge.await;
        assert_eq!(tell_all(&client, &speaker, actions).await.len(), 1);
    }
}
