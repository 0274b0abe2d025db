//! The host's agent: which instances it is to attend, and which it attends.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    path::Path,
};

use balancer_api::{agent::AgentInstance, client::Client};

use super::{dropins::DropIns, warning::Warning};

/// The agent of the host that the instances run on.
pub(super) struct Agent {
    client: Client,
    dropins: DropIns,
    /// Every instance that packets reach.
    attended: BTreeMap<String, AgentInstance>,
    /// The instances that it is to leave, and had when it was last asked. Another one of the same name is declared
    /// when it has left them, so that nobody takes the one for the other.
    leaving: BTreeSet<String>,
    undeclared: Warning,
    silent: Warning,
}

/// An instance that the agent is to attend.
pub(super) struct Declaration<'a> {
    pub(super) name: &'a str,
    pub(super) vips: &'a [IpAddr],
    /// Its network namespace while it runs; otherwise what the agent was last told stands.
    pub(super) netns: Option<&'a Path>,
}

impl Agent {
    /// Its declarations are files in `instance_dir`; its API is asked with `client`.
    pub(super) fn open(client: Client, instance_dir: &Path) -> io::Result<Self> {
        Ok(Self {
            client,
            dropins: DropIns::open(instance_dir)?,
            attended: BTreeMap::new(),
            leaving: BTreeSet::new(),
            undeclared: Warning::default(),
            silent: Warning::default(),
        })
    }

    /// Has it attend these instances and no others.
    pub(super) fn declare(&mut self, declarations: &[Declaration<'_>]) {
        let mut failed = None;
        let mut names = BTreeSet::new();
        for Declaration { name, vips, netns } in declarations {
            if self.leaving.contains(*name) {
                continue;
            }
            names.insert(*name);
            if let Some(netns) = netns {
                failed = self.dropins.put(name, netns, vips).err().or(failed);
            }
        }
        failed = self.dropins.retain(&names).err().or(failed);
        match failed {
            Some(error) => self.not_declared(&error),
            None => self.undeclared.clear(),
        }
    }

    /// Has it leave an instance.
    pub(super) fn leave(&mut self, name: &str) {
        self.leaving.insert(name.to_owned());
        if let Err(error) = self.dropins.remove(name) {
            self.not_declared(&error);
        }
    }

    /// Asks which instances it attends. If it does not answer, those that it attended before count on.
    pub(super) async fn refresh(&mut self) {
        match self.client.agent_instances().await {
            Ok(reply) => {
                self.silent.clear();
                let is_there = |name: &String| reply.items.iter().any(|each| each.name == *name);
                self.leaving.retain(is_there);
                let attached = reply.items.into_iter().filter(|each| each.attached);
                self.attended = attached.map(|each| (each.name.clone(), each)).collect();
            }
            Err(error) => {
                let sentence = format!("the host's agent does not answer: {error}");
                self.silent.raise(sentence);
            }
        }
    }

    /// Whether packets for all these VIPs reach the instance of this name whose namespace is at this path: before, they
    /// would be lost.
    pub(super) fn attends(&self, name: &str, netns: &Path, vips: &[IpAddr]) -> bool {
        let attended = self.attended.get(name);
        let attended = attended.filter(|_| !self.leaving.contains(name));
        attended.is_some_and(|attended| {
            attended.netns == netns && vips.iter().all(|vip| attended.vips.contains(vip))
        })
    }

    /// What goes wrong now, a sentence each.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &str> {
        let warnings = [&self.undeclared, &self.silent];
        warnings.into_iter().filter_map(Warning::sentence)
    }

    fn not_declared(&mut self, error: &io::Error) {
        let sentence = format!("the agent is not told of instances: {error}");
        self.undeclared.raise(sentence);
    }
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, routing::get};
    use balancer_api::replies::ListReply;
    use balancer_core::model::Endpoint;
    use tokio::net::TcpListener;

    use super::*;

    const VIP: &str = "198.51.100.1";
    const NETNS: &str = "/proc/7/ns/net";

    /// One instance that is attended, and one that is not yet.
    async fn instances() -> Json<ListReply<AgentInstance>> {
        let instance = |name: &str, attached| AgentInstance {
            name: name.to_owned(),
            netns: NETNS.into(),
            vips: vec![VIP.parse().unwrap()],
            attached,
        };
        let items = vec![instance("web-0", true), instance("web-1", false)];
        Json(ListReply::new(0, items))
    }

    // Promise: A7
    #[tokio::test]
    async fn an_agent_attends_what_it_says_and_goes_on_while_it_says_nothing() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/instances", get(instances));
        let server = tokio::spawn(axum::serve(listener, router).into_future());
        let endpoint: Endpoint = format!("http://{address}").parse().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut agent = Agent::open(Client::new(endpoint), directory.path()).unwrap();
        let vips = [VIP, "2001:db8::1"].map(|vip| vip.parse().unwrap());
        let netns = Path::new(NETNS);
        assert!(!agent.attends("web-0", netns, &vips[..1]));
        agent.refresh().await;
        assert!(agent.attends("web-0", netns, &vips[..1]));
        let not_attached = agent.attends("web-1", netns, &vips[..1]);
        assert!(!not_attached, "its programs are not there yet");
        let one_of_two = agent.attends("web-0", netns, &vips);
        assert!(!one_of_two, "the agent knows of one VIP only");
        let former = agent.attends("web-0", Path::new("/proc/8/ns/net"), &vips[..1]);
        assert!(
            !former,
            "the agent knows of one with this name that is gone"
        );
        let again = Declaration {
            name: "web-0",
            vips: &vips[..1],
            netns: Some(netns),
        };
        agent.leave("web-0");
        agent.declare(&[again]);
        agent.refresh().await;
        let left = !agent.attends("web-0", netns, &vips[..1]);
        let file = directory.path().join("web-0.toml");
        assert!(left && !file.exists(), "the agent has not left it yet");
        agent.leaving.clear();
        assert_eq!(agent.warnings().count(), 0);
        server.abort();
        let _ = server.await;
        agent.refresh().await;
        assert!(agent.attends("web-0", netns, &vips[..1]));
        let warnings: Vec<&str> = agent.warnings().collect();
        assert!(
            warnings[0].starts_with("the host's agent does not answer: "),
            "{warnings:?}"
        );
    }
}
