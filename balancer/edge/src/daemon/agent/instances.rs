//! The instances that the agent attends: those of the configuration, and those that files in `instance_dir` declare.
//!
//! Level-triggered: each look compares what is declared with what is attended.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use balancer_api::{
    agent::AgentQuestion,
    views::{SocketQuery, SocketView},
};
use balancer_config::{AgentConfig, Instance};
use balancer_host::netns::{self, NetnsError};
use tokio::{sync::oneshot, task::spawn_blocking};
use tracing::{info, warn};

use super::{
    files::InstanceFiles,
    instance::{AttendedInstance, Counter, FirstLook},
};
use crate::{
    daemon::Failure,
    dataplane::{AgentPlane, PinDir},
    metrics::agent::Scrape,
};

/// Every instance that is attended.
pub(super) struct Instances {
    config: AgentConfig,
    pins: PinDir,
    files: InstanceFiles,
    attended: BTreeMap<String, AttendedInstance>,
    first_looks: Vec<FirstLook>,
}

impl Instances {
    pub(super) fn new(config: AgentConfig, pins: PinDir) -> Self {
        Self {
            files: InstanceFiles::new(config.instance_dir.clone()),
            config,
            pins,
            attended: BTreeMap::new(),
            first_looks: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.attended.len()
    }

    /// Attends every instance that is declared now, and leaves those that are not any more.
    pub(super) async fn follow(&mut self) {
        let declared = self.files.declared(&self.config.instances);
        let leaving: Vec<String> = self
            .attended
            .iter()
            .filter(|(name, attended)| declared.get(*name) != Some(attended.instance()))
            .map(|(name, _)| name.clone())
            .collect();
        for name in leaving {
            if let Some(attended) = self.attended.remove(&name) {
                self.leave(attended.stop().await, &declared).await;
            }
        }
        for (name, instance) in declared {
            if !self.attended.contains_key(&name) {
                self.attend(instance);
            }
        }
    }

    /// Waits until every instance was looked at once, and fails when rights are missing for it.
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
        if !self.files.are_all() {
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
            attended.stop().await;
        }
    }

    /// Asks every instance for its counts.
    pub(super) fn scrape(&self, scrape: Scrape) {
        let attended = self.attended.values();
        let counters: Vec<Counter> = attended.map(AttendedInstance::counter).collect();
        tokio::spawn(async move {
            let mut counts = Vec::new();
            for counter in counters {
                counts.extend(counter.counts().await);
            }
            let _ = scrape.send(counts);
        });
    }

    /// Answers, or has it answered. A reply that nobody waits for any more is not missed.
    pub(super) fn answer(&self, question: AgentQuestion) {
        match question {
            AgentQuestion::Instances { reply } => {
                let attended = self.attended.values();
                let _ = reply.send(attended.map(AttendedInstance::view).collect());
            }
            AgentQuestion::Sockets { query, reply } => self.count_sockets(query, reply),
        }
    }

    /// Counts the sockets of every instance that has the VIP and its programs attached, so that packets reach it.
    fn count_sockets(&self, query: SocketQuery, reply: oneshot::Sender<Vec<SocketView>>) {
        let attached = self.attended.values().filter(|each| each.is_attached());
        let instances: Vec<Instance> = attached
            .map(AttendedInstance::instance)
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
        let name = instance.name.clone();
        let pins = self.pins.within(&name);
        let (attended, first_look) = AttendedInstance::start(instance, self.config.clone(), pins);
        self.first_looks.retain_mut(|look| look.try_recv().is_err());
        self.first_looks.push(first_look);
        self.attended.insert(name, attended);
    }

    /// Detaches an instance that is not declared any more, or is declared at another place or with other VIPs.
    async fn leave(&self, instance: Instance, declared: &BTreeMap<String, Instance>) {
        let place = |of: &Instance| (of.netns.clone(), of.interface.clone());
        let stays = declared.get(&instance.name).map(place) == Some(place(&instance));
        // Those that somebody in the same namespace goes on serving stay.
        let others = declared
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
}
