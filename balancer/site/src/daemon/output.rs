//! What runtimes and instances write, passed on line by line beside the control loop.

use std::sync::Arc;

use balancer_api::site_api::command::InstanceLine;
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::runtime::Runtime;

/// Lines that a slow reader has not taken yet.
const WAITING: usize = 256;

/// Has an image ready; `progress` gets each step.
pub(super) fn prepare_image(
    runtime: Arc<dyn Runtime>,
    image: String,
    context: Option<Vec<u8>>,
    progress: mpsc::Sender<Result<String, String>>,
) {
    tokio::spawn(async move {
        let mut lines = runtime.prepare_image(&image, context);
        while let Some(line) = lines.next().await {
            let line = line.map_err(|error| error.to_string());
            if progress.send(line).await.is_err() {
                return;
            }
        }
    });
}

/// The logs of instances: the last `tail` lines of each, and with `follow` all that come, until nobody reads them.
pub(super) fn logs(
    runtime: &Arc<dyn Runtime>,
    instances: Vec<String>,
    tail: Option<usize>,
    follow: bool,
) -> mpsc::Receiver<InstanceLine> {
    let (lines, receiver) = mpsc::channel(WAITING);
    for name in instances {
        tokio::spawn(pass_on(
            Arc::clone(runtime),
            name,
            tail,
            follow,
            lines.clone(),
        ));
    }
    receiver
}

async fn pass_on(
    runtime: Arc<dyn Runtime>,
    instance: String,
    tail: Option<usize>,
    follow: bool,
    lines: mpsc::Sender<InstanceLine>,
) {
    let Ok(mut log) = runtime.logs(&instance, tail, follow).await else {
        return;
    };
    loop {
        let line = tokio::select! {
            line = log.next() => line,
            () = lines.closed() => return,
        };
        let Some(Ok(line)) = line else { return };
        let line = InstanceLine {
            instance: instance.clone(),
            container: line.container,
            text: line.text,
        };
        if lines.send(line).await.is_err() {
            return;
        }
    }
}
