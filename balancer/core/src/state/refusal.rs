//! Why a change was refused.

use std::net::IpAddr;

use thiserror::Error;

use super::rules::{Kind, Violation};
use crate::model::{Broken, ServiceName};

/// A change that was refused; the state is as it was. The message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There is no such service or backend.
    #[error("{problem}; {remedy}")]
    NotFound {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// It exists already.
    #[error("{problem}; {remedy}")]
    Conflict {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// A value is bad.
    #[error("{problem}; {remedy}")]
    Invalid {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// It would leave a service without a backend, and nobody insisted.
    #[error("{problem}; {remedy}")]
    Unsafe {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
}

impl Refusal {
    /// The exit code of `lbctl` for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Invalid { .. } => 1,
            Self::NotFound { .. } => 4,
            Self::Conflict { .. } => 5,
            Self::Unsafe { .. } => 6,
        }
    }

    /// A service that is declared as it cannot be.
    pub fn invalid(name: &ServiceName, broken: Broken) -> Refusal {
        let (problem, remedy) = told(name, broken);
        Refusal::Invalid { problem, remedy }
    }

    pub(super) fn no_service(name: &ServiceName) -> Refusal {
        Refusal::NotFound {
            problem: format!("there is no service `{name}`"),
            remedy: "see `lbctl services list` for those there are".into(),
        }
    }

    pub(super) fn no_backend(service: &ServiceName, address: IpAddr) -> Refusal {
        Refusal::NotFound {
            problem: format!("service `{service}` has no backend {address}"),
            remedy: format!("see `lbctl backends list {service}` for those it has"),
        }
    }

    pub(super) fn has_backends(service: &ServiceName, backends: usize) -> Refusal {
        Refusal::Unsafe {
            problem: format!("service `{service}` still has backends ({backends})"),
            remedy: "remove them first, or insist with --force".into(),
        }
    }

    pub(super) fn leaves_nobody(service: &ServiceName, what: &str) -> Refusal {
        Refusal::Unsafe {
            problem: format!("service `{service}` would be left with {what}"),
            remedy: "add another backend first, or insist with --force".into(),
        }
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Refusal {
        let Violation {
            name, kind, broken, ..
        } = violation;
        let (problem, remedy) = told(&name, broken);
        match kind {
            Kind::Invalid => Refusal::Invalid { problem, remedy },
            Kind::Conflict => Refusal::Conflict { problem, remedy },
        }
    }
}

/// What is wrong with a service, and what to do about it.
fn told(name: &ServiceName, broken: Broken) -> (String, String) {
    let Broken {
        field,
        problem,
        expected,
    } = broken;
    let problem = match field.key() {
        key if key.is_empty() => format!("service `{name}`: {problem}"),
        key => format!("service `{name}`: {key}: {problem}"),
    };
    (problem, format!("expected {expected}"))
}
