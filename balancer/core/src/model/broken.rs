//! What of a declared service cannot be.

use std::{fmt, net::IpAddr};

/// What a port has to be.
pub const PORT: &str = "1 to 65535";

/// What of a service cannot be, why, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which part of it.
    pub field: Field,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub expected: &'static str,
}

/// A part of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The service itself.
    Service,
    /// A key of its section in a file, such as `vip` or `check.rise`.
    Key(&'static str),
    /// The backend with this address.
    Backend(IpAddr),
}

impl Broken {
    /// Something of a key.
    pub fn key(key: &'static str, problem: impl Into<String>, expected: &'static str) -> Self {
        Self {
            field: Field::Key(key),
            problem: problem.into(),
            expected,
        }
    }

    /// Something of a backend.
    pub fn backend(address: IpAddr, problem: impl Into<String>, expected: &'static str) -> Self {
        Self {
            field: Field::Backend(address),
            problem: problem.into(),
            expected,
        }
    }
}

/// `check.rise: it is 0; expected 1 to 255`.
impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            problem,
            expected,
        } = self;
        match field.key() {
            key if key.is_empty() => write!(f, "{problem}; expected {expected}"),
            key => write!(f, "{key}: {problem}; expected {expected}"),
        }
    }
}

impl Field {
    /// How people call it; empty for the service itself.
    pub fn key(&self) -> String {
        match self {
            Self::Service => String::new(),
            Self::Key(key) => (*key).to_owned(),
            Self::Backend(address) => format!("backend {address}"),
        }
    }
}
