//! What is wrong with a configuration file, and where.

use std::fmt;

use thiserror::Error;

/// An error in a configuration file: ``FILE:LINE: key `x.y`: what is wrong; expected ...``.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ConfigError {
    /// The file, as it was named.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The path of the key, such as `service[0].check.rise`; empty when the text is no TOML.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What was expected.
    pub expected: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            key,
            problem,
            expected,
        } = self;
        write!(f, "{file}:{line}: ")?;
        if !key.is_empty() {
            write!(f, "key `{key}`: ")?;
        }
        write!(f, "{problem}; expected {expected}")
    }
}
