//! What the reader of a workload file has to say: errors, warnings, and what happens to what we do not act on.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A place in a file: `main.tf:12:5`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
}

/// An error in a workload file: ``FILE:LINE:COLUMN: `x.y`: what is wrong; expected ...``.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct WorkloadError {
    /// Where.
    pub place: Place,
    /// The path of what is wrong, such as `container[0].port[1].protocol`; empty when it has none.
    pub path: String,
    /// What is wrong.
    pub problem: String,
    /// What was expected.
    pub expected: String,
}

/// Everything that is wrong with a workload file, in the file's order; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct WorkloadErrors(pub Vec<WorkloadError>);

/// Something that is accepted, and should be put right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// What, and what was done about it.
    pub text: String,
}

/// Something of a workload file that is valid, and that we do not act on as Terraform or its provider would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// What, such as `provider "stackpath".client_id`.
    pub path: String,
    /// What happens to it.
    pub fate: Fate,
    /// Why, in a sentence.
    pub why: String,
}

/// What happens to something that we do not act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It makes no difference.
    Ignored,
    /// Something of ours stands in its place.
    Replaced,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Display for WorkloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            path,
            problem,
            expected,
        } = self;
        write!(f, "{place}: ")?;
        if !path.is_empty() {
            write!(f, "`{path}`: ")?;
        }
        write!(f, "{problem}; expected {expected}")
    }
}

/// One error a line.
impl fmt::Display for WorkloadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{error}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            path,
            fate,
            why,
        } = self;
        write!(f, "{place}: `{path}` is {fate}: {why}")
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ignored => "ignored",
            Self::Replaced => "replaced",
        })
    }
}
