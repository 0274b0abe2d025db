//! The host's agent: which instances it is to attend, and which it attends.

use std::{collections::BTreeSet, io, net::IpAddr, path::Path};

use super::{dropins::DropIns, warning::Warning};
use crate::{
    api::{client::Client, views::SocketQuery},
    site::Memory,
};

/// The agent of the host that the instances run on.
pub(super) struct Agent {
    client: Client,
    dropins: DropIns,
    /// The instances that have their programs attached.
    attended: BTreeSet<String>,
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
            attended: BTreeSet::new(),
            undeclared: Warning::default(),
            silent: Warning::default(),
        })
    }

    /// Has it attend these instances and no others.
    pub(super) fn declare(&mut self, declarations: &[Declaration<'_>]) {
        let mut failed = None;
        for Declaration { name, vips, netns } in declarations {
            if let Some(netns) = netns {
                failed = self.dropins.put(name, netns, vips).err().or(failed);
            }
        }
        let names: BTreeSet<&str> = declarations.iter().map(|each| each.name).collect();
        failed = self.dropins.retain(&names).err().or(failed);
        match failed {
            Some(error) => self.not_declared(&error),
            None => self.undeclared.clear(),
        }
    }

    /// Has it leave an instance.
    pub(super) fn leave(&mut self, name: &str) {
        if let Err(error) = self.dropins.remove(name) {
            self.not_declared(&error);
        }
    }

    /// Asks which instances it attends. If it does not answer, those that it attended before count on.
    pub(super) async fn refresh(&mut self, memory: &Memory) {
        let mut attended = BTreeSet::new();
        for query in queries(memory) {
            match self.client.sockets(&query).await {
                Ok(sockets) => {
                    self.silent.clear();
                    attended.extend(sockets.items.into_iter().map(|view| view.instance));
                }
                Err(error) => {
                    let sentence = format!("the host's agent does not answer: {error}");
                    self.silent.raise(sentence);
                    attended.append(&mut self.attended);
                    break;
                }
            }
        }
        self.attended = attended;
    }

    /// Whether packets reach an instance: before, they would be lost.
    pub(super) fn attends(&self, name: &str) -> bool {
        self.attended.contains(name)
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

fn queries(memory: &Memory) -> Vec<SocketQuery> {
    let mut queries = Vec::new();
    for wanted in memory.workloads.values() {
        let port = wanted.workload.ports().next();
        let query = |vip: &IpAddr| {
            port.map(|port| SocketQuery {
                vip: *vip,
                port: port.port,
                protocol: port.protocol,
            })
        };
        queries.extend(wanted.vips.iter().filter_map(query));
    }
    queries
}
