//! An interface that the edge's program is to be on, and the pin of the link that holds it there.

use std::collections::BTreeSet;

use super::{
    attachment::{self, Present},
    error::DataplaneError,
    former,
    pins::PinDir,
};

/// The pin of a link, and the interface's number behind it, which it keeps for life, whatever it is called.
const LINK: &str = "link-";

/// An interface that the program is to be on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// The program that is on it now.
    pub present: Option<Present>,
}

impl Interface {
    /// The pin of its link.
    pub(super) fn pin(&self) -> String {
        link(self.index)
    }

    /// Whether a pinned link holds what is there now, of this version or of the one before.
    pub(super) fn is_held(&self, pins: &PinDir) -> Result<bool, DataplaneError> {
        let ours = attachment::holds(&pins.path(&self.pin()), self.present)?;
        Ok(ours || former::holds(pins, &self.pin(), self.present)?)
    }
}

/// The pin of the link of an interface with this number.
pub(super) fn link(index: u32) -> String {
    format!("{LINK}{index}")
}

/// The pins of links.
pub(super) fn links(pins: &PinDir) -> Result<BTreeSet<String>, DataplaneError> {
    let mut links = pins.files()?;
    links.retain(|name| name.starts_with(LINK));
    Ok(links)
}
