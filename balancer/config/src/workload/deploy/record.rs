//! `balancer.state.json`: what has been applied, kept beside the workload file.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use balancer_core::model::{City, Label};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::workload::Workload;

/// What was applied from a workload file, and what is under way.
///
/// It is saved before a site is told anything, so that whatever an interrupted apply left is found by the next one. It
/// holds no sensitive value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The version of this format.
    version: u32,
    /// Counts the times it was saved.
    pub serial: u64,
    /// The workloads that exist, or may.
    pub workloads: BTreeMap<Label, RecordedWorkload>,
}

/// A workload that exists, or may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedWorkload {
    /// The name of its resource in the workload file.
    pub resource: String,
    /// What was asked for last, without its sensitive values.
    pub workload: Workload,
    /// The digest of the whole ([`Workload::digest`]).
    pub digest: String,
    /// Its VIPs, kept for its life.
    pub vips: Vec<IpAddr>,
    /// Every city where it is, or may be.
    pub cities: BTreeSet<City>,
    /// What has begun and was not seen to end.
    pub pending: Option<Operation>,
}

/// What can be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// It is being brought to what was asked for.
    Apply,
    /// It is being removed.
    Destroy,
}

/// Why a state file cannot be used.
#[derive(Debug, Error)]
pub enum RecordError {
    /// It is no such file.
    #[error("{file}:{line}:{column}: {problem}; restore the file from a backup")]
    Unreadable {
        /// The file, as it was named.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// What is wrong.
        problem: String,
    },
    /// A newer program wrote it.
    #[error(
        "{file}: version {version} is not known to this program; use the one that wrote it, or a newer one"
    )]
    Version {
        /// The file, as it was named.
        file: String,
        /// Its version.
        version: u32,
    },
}

const VERSION: u32 = 1;

impl Default for Record {
    fn default() -> Self {
        Self {
            version: VERSION,
            serial: 0,
            workloads: BTreeMap::new(),
        }
    }
}

impl Record {
    /// Reads a state file; `file` is its name in errors.
    ///
    /// # Errors
    ///
    /// When it is none, or of another version.
    pub fn parse(text: &str, file: &str) -> Result<Record, RecordError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let unreadable = |error: serde_json::Error| RecordError::Unreadable {
            file: file.to_owned(),
            line: error.line().max(1),
            column: error.column().max(1),
            problem: error.to_string(),
        };
        // First, for another version may have other fields.
        let Versioned { version } = serde_json::from_str(text).map_err(unreadable)?;
        if version != VERSION {
            let file = file.to_owned();
            return Err(RecordError::Version { file, version });
        }
        serde_json::from_str(text).map_err(unreadable)
    }

    /// The text of the next state file.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("records have string keys");
        text.push('\n');
        text
    }

    /// Every VIP that a workload of it has.
    pub fn vips(&self) -> impl Iterator<Item = IpAddr> {
        let all = self.workloads.values().flat_map(|recorded| &recorded.vips);
        all.copied()
    }

    /// Notes that a workload is being brought to `workload`, before a site is told. Cities where it was are kept until
    /// it is seen to be gone there.
    pub fn begin_apply(&mut self, resource: &str, workload: &Workload, vips: Vec<IpAddr>) {
        let earlier = self.workloads.get(&workload.slug);
        let mut cities: BTreeSet<City> = workload.cities().into_iter().cloned().collect();
        cities.extend(earlier.iter().flat_map(|earlier| earlier.cities.clone()));
        let recorded = RecordedWorkload {
            resource: resource.to_owned(),
            workload: workload.without_secrets(),
            digest: workload.digest(),
            vips,
            cities,
            pending: Some(Operation::Apply),
        };
        self.workloads.insert(workload.slug.clone(), recorded);
    }

    /// Notes that a workload is being removed, before a site is told.
    pub fn begin_destroy(&mut self, slug: &Label) {
        if let Some(recorded) = self.workloads.get_mut(slug) {
            recorded.pending = Some(Operation::Destroy);
        }
    }

    /// Notes that what began has ended: it is what was asked for, or gone.
    pub fn finish(&mut self, slug: &Label) {
        let Some(recorded) = self.workloads.get_mut(slug) else {
            return;
        };
        match recorded.pending.take() {
            Some(Operation::Destroy) => {
                self.workloads.remove(slug);
            }
            Some(Operation::Apply) => {
                recorded.cities = recorded.workload.cities().into_iter().cloned().collect();
            }
            None => {}
        }
    }
}
