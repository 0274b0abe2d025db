//! Lets routers know of VIPs, by a routing daemon that outlives this one.
//!
//! The wanted set comes in whole over a channel, and is made so again and again: a routing daemon that
//! was restarted, and has forgotten everything, is told again within a second.

mod error;
mod follow;
mod gobgp;
mod interface;
mod local;
mod memory;
mod speaker;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf};

pub use error::AnnounceError;
pub use follow::{spawn, withdrawn};
pub use memory::remembered;
pub use speaker::withdraw_remembered;

use balancer_core::model::Speaker;

/// What an edge announces with, and where it remembers what it has announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcer {
    /// Who announces.
    pub speaker: Speaker,
    /// The edge's interface: its addresses are the next hops, unless others are set.
    pub interface: String,
    /// The directory of the file that remembers.
    pub state_dir: PathBuf,
}

/// What the speaker has made of a wanted set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpeakerStatus {
    /// The set; `None` before the first.
    pub wanted: Option<BTreeSet<IpAddr>>,
    /// The VIPs that the speaker is known to announce for us.
    pub announced: BTreeSet<IpAddr>,
    /// Why it is not as wanted; tried again all the time.
    pub error: Option<String>,
}

impl SpeakerStatus {
    /// Whether the speaker has confirmed that none of our VIPs is announced, as wanted.
    pub fn all_withdrawn(&self) -> bool {
        self.wanted.as_ref().is_some_and(BTreeSet::is_empty)
            && self.announced.is_empty()
            && self.error.is_none()
    }
}
