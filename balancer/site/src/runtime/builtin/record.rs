//! What is written down of an instance.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use balancer_config::{HostNetwork, fnv1a, workload::Container};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::address;
use crate::runtime::{InstanceSpec, RuntimeError};

const FILE: &str = "record.json";

/// An instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) spec: InstanceSpec,
    pub(super) address: Ipv4Addr,
    pub(super) address6: Option<Ipv6Addr>,
    /// The bridge's end of its link.
    pub(super) port: String,
    pub(super) restarts: u32,
    pub(super) started_unix_ms: u64,
    pub(super) notes: Vec<String>,
    /// Whether the launch came to its end.
    pub(super) made: bool,
}

impl Record {
    /// Chooses an address and a link's name that no other instance has.
    pub(super) fn new(
        spec: &InstanceSpec,
        network: &HostNetwork,
        others: &[Record],
    ) -> Result<Self, RuntimeError> {
        let taken: Vec<Ipv4Addr> = others.iter().map(|other| other.address).collect();
        let address = address::choose(network, &taken)?;
        let port = (0_u32..)
            .map(|salt| port_name(&spec.name, salt))
            .find(|port| others.iter().all(|other| other.port != *port))
            .expect("fewer instances than names");
        Ok(Self {
            spec: spec.clone(),
            address,
            address6: address::ipv6_beside(network, address),
            port,
            restarts: 0,
            started_unix_ms: 0,
            notes: vec!["the image is not used: commands run from this host's files".to_owned()],
            made: false,
        })
    }

    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let v6 = self.address6.map(IpAddr::from);
        [IpAddr::from(self.address)].into_iter().chain(v6).collect()
    }

    pub(super) fn netns(&self, state: &Path) -> PathBuf {
        state.join(&self.spec.name).join("netns")
    }

    pub(super) fn container(&self, state: &Path, container: &Container) -> PathBuf {
        state.join(&self.spec.name).join(container.name.as_str())
    }

    pub(super) fn load(state: &Path, name: &str) -> Result<Option<Self>, RuntimeError> {
        read(&state.join(name).join(FILE))
    }

    /// Every instance's, in order of names.
    pub(super) fn all(state: &Path) -> Result<Vec<Self>, RuntimeError> {
        let entries = fs::read_dir(state).map_err(RuntimeError::file("list", state))?;
        let mut records = Vec::new();
        for entry in entries {
            let entry = entry.map_err(RuntimeError::file("list", state))?;
            records.extend(read::<Self>(&entry.path().join(FILE))?);
        }
        records.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        Ok(records)
    }

    pub(super) fn save(&self, state: &Path) -> Result<(), RuntimeError> {
        write(&state.join(&self.spec.name).join(FILE), self)
    }

    /// The record goes last: until then another removal finds it.
    pub(super) fn remove(&self, state: &Path) -> Result<(), RuntimeError> {
        let directory = state.join(&self.spec.name);
        for container in &self.spec.containers {
            let place = self.container(state, container);
            match fs::remove_dir_all(&place) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(RuntimeError::file("remove", place)(error));
                }
                _ => {}
            }
        }
        fs::remove_dir_all(&directory).map_err(RuntimeError::file("remove", directory))
    }
}

/// At most 15 bytes, which is what a link's name may have.
fn port_name(instance: &str, salt: u32) -> String {
    let hash = fnv1a(format!("{instance}/{salt}").as_bytes());
    format!("lb{:012x}", hash & 0xffff_ffff_ffff)
}

/// `None` when there is no such file.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RuntimeError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(RuntimeError::file("read", path)(error)),
    };
    let value = serde_json::from_slice(&bytes);
    value.map(Some).map_err(|error| RuntimeError::Record {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// In one step: readers see the old file or the new one. Makes the directory. Only root may read: environments have
/// secrets.
pub(super) fn write(path: &Path, value: &impl Serialize) -> Result<(), RuntimeError> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let failed = |error| RuntimeError::file("write", path)(error);
    fs::create_dir_all(path.parent().expect("a file is in a directory")).map_err(failed)?;
    let new = path.with_extension("new");
    let bytes = serde_json::to_vec(value).expect("records have string keys");
    let mut options = fs::OpenOptions::new();
    let file = options
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new);
    file.and_then(|mut file| file.write_all(&bytes))
        .map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_links_name_fits_and_differs_from_others() {
        let names = ["a", "web-global-sea-1", "web-global-sea-2"].map(|name| port_name(name, 0));
        assert!(names.iter().all(|name| name.len() <= 15), "{names:?}");
        assert_ne!(names[1], names[2]);
        assert_ne!(port_name("a", 0), port_name("a", 1));
    }
}
