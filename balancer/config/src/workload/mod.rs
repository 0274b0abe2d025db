//! Workloads: what the operator declares in a workload file, checked.
//!
//! [`read`] reads the file, in Terraform's language. Nothing of it is used before all of it is known to be right.

pub mod deploy;
mod finding;
mod language;
mod model;
pub mod quantity;
mod question;
pub mod rules;

pub use finding::{Fate, Note, Place, Warning, WorkloadError, WorkloadErrors};
pub use language::{
    Declarations, Declared, Input, Output, OutputValue, SourceFile, automatic_files, read,
};
pub use model::{Container, Port, Probe, Target, Workload};
pub use question::Question;
