//! What this edge has announced, in a file: so that the next daemon, and the guard, know what is ours.
//!
//! A VIP is written down before it is announced, and crossed out after it is withdrawn: a crash in
//! between leaves one too many, never one too few.

use std::{
    collections::BTreeSet,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use balancer_core::model::Speaker;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::AnnounceError;

const FILE: &str = "announced.json";
const NEW: &str = "announced.json.new";

/// Which VIPs a speaker may announce for us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Who.
    pub speaker: Speaker,
    /// The edge's interface then.
    pub interface: String,
    /// The VIPs.
    pub vips: BTreeSet<IpAddr>,
}

/// What the file in this state directory says; `None` when there is none.
///
/// # Errors
///
/// When it cannot be read. A damaged one counts as none, with a warning.
pub fn remembered(state_dir: &Path) -> Result<Option<Memory>, AnnounceError> {
    let path = state_dir.join(FILE);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(AnnounceError::Memory {
                what: "read",
                path,
                source,
            });
        }
        Ok(text) => text,
    };
    match serde_json::from_slice(&text) {
        Ok(memory) => Ok(Some(memory)),
        Err(error) => {
            // What a crash of the whole machine may leave; the speaker has gone with it.
            warn!(
                "{} is damaged, so nothing is known of earlier announcements: {error}",
                path.display()
            );
            Ok(None)
        }
    }
}

/// Makes this what [`remembered`] finds.
pub(super) fn remember(state_dir: &Path, memory: &Memory) -> Result<(), AnnounceError> {
    let path: PathBuf = state_dir.join(FILE);
    let write = || -> io::Result<()> {
        let new = state_dir.join(NEW);
        fs::write(&new, serde_json::to_vec(memory)?)?;
        // After a crash of the machine no speaker announces anything, so this need not be durable.
        fs::rename(&new, &path)
    };
    write().map_err(|source| AnnounceError::Memory {
        what: "write",
        path: path.clone(),
        source,
    })
}
