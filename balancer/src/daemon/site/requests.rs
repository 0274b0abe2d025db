//! What a site is asked.

use std::{collections::BTreeSet, sync::Arc};

use futures::StreamExt;
use tokio::sync::mpsc;
use tracing::info;

use super::controller::Controller;
use crate::{
    site::{Declared, Wanted, services},
    site_api::{
        command::{InstanceLine, SiteCommand, SiteRefusal},
        requests::WorkloadBody,
    },
    workload::{Label, rules},
};

/// Lines that a slow reader has not taken yet.
const WAITING: usize = 256;

impl Controller {
    /// Answers, or has it answered.
    pub(super) fn command(&mut self, command: SiteCommand) {
        // A reply that nobody waits for any more is not missed.
        match command {
            SiteCommand::PutWorkload { body, reply } => _ = reply.send(self.put(*body)),
            SiteCommand::DeleteWorkload { slug, reply } => _ = reply.send(self.delete(&slug)),
            SiteCommand::Snapshot { reply } => _ = reply.send(self.view()),
            SiteCommand::PrepareImage {
                image,
                context,
                progress,
            } => {
                let runtime = Arc::clone(&self.runtime);
                tokio::spawn(async move {
                    let context = context.map(|tar| tar.to_vec());
                    let mut lines = runtime.prepare_image(&image, context);
                    while let Some(line) = lines.next().await {
                        let line = line.map_err(|error| error.to_string());
                        if progress.send(line).await.is_err() {
                            return;
                        }
                    }
                });
            }
            SiteCommand::Logs {
                slug,
                instance,
                tail,
                follow,
                reply,
            } => _ = reply.send(self.logs(&slug, instance.as_deref(), tail, follow)),
        }
    }

    fn put(&mut self, body: WorkloadBody) -> Result<(), SiteRefusal> {
        let WorkloadBody {
            workload,
            vips,
            drain_timeout_seconds,
        } = body;
        let slug = workload.slug.clone();
        if let Some(broken) = rules::check(std::slice::from_ref(&workload)).first() {
            return Err(SiteRefusal::Invalid(format!(
                "workload `{slug}`: {}: {}; expected {}",
                broken.path, broken.problem, broken.expected
            )));
        }
        let others = self.vips_of_others(&slug);
        if let Some((vip, other)) = vips.iter().find_map(|vip| Some((vip, others.get(vip)?))) {
            return Err(SiteRefusal::Conflict(format!(
                "{vip} is the VIP of workload `{other}`: choose another one for `{slug}`"
            )));
        }
        let wanted = Wanted {
            workload,
            vips,
            drain_timeout_ms: u64::from(drain_timeout_seconds) * 1_000,
            removing: false,
        };
        if wanted.targets(&self.city).next().is_none() {
            return Err(SiteRefusal::Invalid(format!(
                "workload `{slug}` has no target in {}: ask the sites of its cities",
                self.city
            )));
        }
        let ports = wanted.workload.ports().filter(|port| port.public).count();
        if services(&wanted).len() != ports * wanted.vips.len() {
            return Err(SiteRefusal::Invalid(format!(
                "slug `{slug}` and a port's name are too long together for a service's name: shorten one"
            )));
        }
        if self.memory.workloads.get(&slug) == Some(&wanted) {
            return Ok(());
        }
        let before = self.memory.clone();
        let wished: BTreeSet<Declared> = services(&wanted).iter().map(Declared::from).collect();
        let earlier = self.memory.workloads.insert(slug.clone(), wanted);
        let earlier = earlier.iter().flat_map(services);
        let gone = earlier.map(|service| Declared::from(&service));
        self.memory
            .unwanted
            .extend(gone.filter(|service| !wished.contains(service)));
        self.memory
            .unwanted
            .retain(|service| !wished.contains(service));
        if !self.save() {
            self.memory = before;
            return Err(self.not_saved());
        }
        info!("{slug} is to run");
        Ok(())
    }

    fn delete(&mut self, slug: &Label) -> Result<(), SiteRefusal> {
        let Some(wanted) = self.memory.workloads.get_mut(slug) else {
            return Err(no_workload(slug));
        };
        if wanted.removing {
            return Ok(());
        }
        wanted.removing = true;
        if !self.save() {
            if let Some(wanted) = self.memory.workloads.get_mut(slug) {
                wanted.removing = false;
            }
            return Err(self.not_saved());
        }
        info!("{slug} is to go");
        Ok(())
    }

    fn not_saved(&self) -> SiteRefusal {
        let why = self.warnings.get("memory").cloned().unwrap_or_default();
        SiteRefusal::Failed(format!("nothing changed: {why}"))
    }

    fn logs(
        &self,
        slug: &Label,
        instance: Option<&str>,
        tail: Option<usize>,
        follow: bool,
    ) -> Result<mpsc::Receiver<InstanceLine>, SiteRefusal> {
        if !self.memory.workloads.contains_key(slug) {
            return Err(no_workload(slug));
        }
        let names: Vec<String> = self
            .instances()
            .into_iter()
            .filter(|each| &each.slug == slug && instance.is_none_or(|name| name == each.name))
            .map(|each| each.name)
            .collect();
        if let (Some(name), true) = (instance, names.is_empty()) {
            return Err(SiteRefusal::NotFound(format!(
                "workload `{slug}` has no instance `{name}` in {}",
                self.city
            )));
        }
        let (lines, receiver) = mpsc::channel(WAITING);
        for name in names {
            let (runtime, lines) = (Arc::clone(&self.runtime), lines.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = runtime.logs(&name, tail, follow).await else {
                    return;
                };
                loop {
                    let line = tokio::select! {
                        line = stream.next() => line,
                        () = lines.closed() => return,
                    };
                    let Some(Ok(line)) = line else { return };
                    let line = InstanceLine {
                        instance: name.clone(),
                        container: line.container,
                        text: line.text,
                    };
                    if lines.send(line).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(receiver)
    }
}

fn no_workload(slug: &Label) -> SiteRefusal {
    SiteRefusal::NotFound(format!("there is no workload `{slug}` here"))
}
