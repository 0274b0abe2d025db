//! Why there is no plan.

use balancer_core::model::{City, Label};
use thiserror::Error;

use crate::{
    ConfigError,
    workload::{Place, WorkloadError},
};

/// Why there is no plan. Nothing has been started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The workload file wishes for something that the fleet does not have.
    #[error("{0}")]
    Workload(WorkloadError),
    /// The pool has no address.
    #[error("{0}")]
    Pool(ConfigError),
    /// A site does not answer, so that nobody knows what is there.
    #[error(
        "site {city} does not answer: {why}; start `lbd site` there, or correct its `api` in {fleet}"
    )]
    Unreachable {
        /// Its city.
        city: City,
        /// Why not.
        why: String,
        /// The fleet file.
        fleet: String,
    },
    /// A site has a workload of this slug that somebody else applied.
    #[error(
        "{place}: workload `{slug}` runs in {city} already, and the state file does not know it; choose another slug, \
         or apply with the state file that it was applied with"
    )]
    Stranger {
        /// Where its slug is in the workload file.
        place: Place,
        /// The slug.
        slug: Label,
        /// The city.
        city: City,
    },
    /// A workload is, or may be, in a city that the fleet file does not have any more.
    #[error(
        "workload `{slug}` is in {city}, and {fleet} has no site there; put the site back until it is destroyed"
    )]
    SiteGone {
        /// The slug.
        slug: Label,
        /// The city.
        city: City,
        /// The fleet file.
        fleet: String,
    },
}
