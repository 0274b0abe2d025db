//! The control loop with a runtime in memory and a disk that is full for a while.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

use balancer_api::client::Client;
use balancer_core::model::Endpoint;
use futures::{
    FutureExt, StreamExt,
    future::{self, BoxFuture},
    stream::{self, BoxStream},
};
use serde_json::json;

use super::*;
use crate::{
    daemon::messages::Speaker,
    runtime::{InstanceSpec, LogLine, Observed, RuntimeError},
    site::Wanted,
};

/// A runtime whose instances run until they are removed.
#[derive(Default)]
struct Fake(Mutex<Vec<Observed>>);

impl Fake {
    /// In their order: they are launched beside each other, and either may be the first.
    fn names(&self) -> Vec<String> {
        let instances = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = instances.iter().map(|each| each.name.clone()).collect();
        names.sort();
        names
    }
}

impl Runtime for Fake {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Observed>, RuntimeError>> {
        future::ready(Ok(self.0.lock().unwrap().clone())).boxed()
    }

    fn launch<'a>(&'a self, spec: &'a InstanceSpec) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.0.lock().unwrap().push(Observed {
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            addresses: Vec::new(),
            netns: "/run/netns/none".into(),
            state: State::Running,
            restarts: 0,
            started_unix_ms: 1,
            notes: Vec::new(),
        });
        future::ready(Ok(())).boxed()
    }

    fn restart<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        future::ready(Ok(())).boxed()
    }

    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.0.lock().unwrap().retain(|each| each.name != name);
        future::ready(Ok(())).boxed()
    }

    fn prepare_image<'a>(
        &'a self,
        _: &'a str,
        _: Option<Vec<u8>>,
    ) -> BoxStream<'a, Result<String, RuntimeError>> {
        stream::empty().boxed()
    }

    fn logs<'a>(
        &'a self,
        _: &'a str,
        _: Option<usize>,
        _: bool,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError>>
    {
        future::ready(Ok(stream::empty().boxed())).boxed()
    }

    fn cpu_ns<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<u64, RuntimeError>> {
        future::ready(Ok(0)).boxed()
    }
}

/// So many instances of a workload without a VIP, which no edge and no agent has to know.
fn wanted(replicas: u32) -> Wanted {
    let workload = json!({
        "name": "web", "slug": "web", "anycast": false,
        "containers": [{
            "name": "app", "image": "web:1", "command": [], "ports": [],
            "cpu_millis": 500, "memory_bytes": 128 << 20, "env": {},
            "readiness": null, "liveness": null
        }],
        "targets": [{
            "name": "global", "min_replicas": replicas, "max_replicas": replicas,
            "cpu_percent": null, "cities": ["SEA"]
        }]
    });
    Wanted {
        workload: serde_json::from_value(workload).unwrap(),
        vips: Vec::new(),
        drain_timeout_ms: 30_000,
        removing: false,
    }
}

/// A site without edges, whose agent does not answer.
fn site(place: &Path, runtime: Arc<Fake>) -> Controller {
    let city: City = "SEA".parse().unwrap();
    let nobody: Endpoint = "http://127.0.0.1:9".parse().unwrap();
    let speaker = Speaker {
        city: city.clone(),
        agent: nobody.to_string(),
    };
    Controller::new(
        city,
        runtime,
        SiteState::open(&place.join("state")).unwrap(),
        Agent::open(Client::new(nobody), &place.join("instances.d")).unwrap(),
        Edges::start(speaker, BTreeMap::new()),
        Probes::start().0,
        Autoscaling::new(0),
    )
}

/// Looks and acts, and waits for what was begun.
async fn pass(site: &mut Controller) {
    assert!(site.look().await);
    site.act();
    while site.tasks.are_running() {
        let finished = site.tasks.next().await;
        site.finish(finished);
    }
}

// Promise: F2
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_goes_when_the_disk_knows_and_not_before() {
    let place = tempfile::tempdir().unwrap();
    let runtime = Arc::new(Fake::default());
    let mut site = site(place.path(), Arc::clone(&runtime));
    site.state.commit(|memory| memory.put(wanted(2))).unwrap();
    pass(&mut site).await;
    assert_eq!(runtime.names(), ["web-global-sea-0", "web-global-sea-1"]);
    site.state.commit(|memory| memory.put(wanted(1))).unwrap();
    // What a full disk does: the new state cannot be written.
    let obstacle = place.path().join("state/state.new");
    fs::create_dir(&obstacle).unwrap();
    for _ in 0..3 {
        pass(&mut site).await;
    }
    assert_eq!(runtime.names(), ["web-global-sea-0", "web-global-sea-1"]);
    assert!(
        site.view()
            .warnings
            .iter()
            .any(|why| why.contains("state.new"))
    );
    fs::remove_dir(&obstacle).unwrap();
    for _ in 0..2 {
        pass(&mut site).await;
    }
    assert_eq!(runtime.names(), ["web-global-sea-0"]);
    assert!(site.state.memory().leaving.is_empty());
}
