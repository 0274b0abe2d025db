//! Measuring the CPU time of instances.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use futures::future::join_all;
use tokio::sync::mpsc;

use crate::runtime::Runtime;

/// How much CPU time each instance has used, in nanoseconds, and when; `None` if the runtime could not tell.
pub(super) type CpuTimes = BTreeMap<String, Option<(Instant, u64)>>;

/// Measures beside the control loop: an engine takes its time for it.
pub(super) struct CpuMeter {
    runtime: Arc<dyn Runtime>,
    measured_in: mpsc::Sender<CpuTimes>,
    measured: mpsc::Receiver<CpuTimes>,
}

impl CpuMeter {
    pub(super) fn new(runtime: Arc<dyn Runtime>) -> Self {
        let (measured_in, measured) = mpsc::channel(1);
        Self {
            runtime,
            measured_in,
            measured,
        }
    }

    /// Begins to measure these instances. While another measurement runs, one more would say nothing new.
    pub(super) fn start(&self, names: Vec<String>) {
        let Ok(place) = self.measured_in.clone().try_reserve_owned() else {
            return;
        };
        let runtime = Arc::clone(&self.runtime);
        tokio::spawn(async move {
            let used = names.into_iter().map(|name| async {
                let used = runtime.cpu_ns(&name).await.ok();
                (name, used.map(|used| (Instant::now(), used)))
            });
            place.send(join_all(used).await.into_iter().collect());
        });
    }

    /// The next measurement that is done.
    pub(super) async fn next(&mut self) -> CpuTimes {
        match self.measured.recv().await {
            Some(used) => used,
            // Not while `measured_in` is there.
            None => std::future::pending().await,
        }
    }
}
