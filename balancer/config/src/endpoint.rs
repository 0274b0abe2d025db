//! Endpoints in a configuration file, and the tokens that go with them.

use std::path::PathBuf;

use balancer_core::model::Endpoint;

use super::{ConfigError, edge::absolute, section::Section};

/// What an endpoint looks like.
const EXPECTED: &str = "\"unix:/path\" or \"http://host:port\"";

/// An endpoint that has to be there.
pub(super) fn endpoint(section: &Section<'_>, key: &str) -> Result<Endpoint, ConfigError> {
    section.required(key, EXPECTED)?.parse(EXPECTED)
}

/// The file of the token for an endpoint; there has to be one when it is on another host.
pub(super) fn token_file(
    section: &Section<'_>,
    key: &str,
    of: &str,
    endpoint: &Endpoint,
) -> Result<Option<PathBuf>, ConfigError> {
    match section.get(key) {
        Some(value) => Ok(Some(absolute(&value)?)),
        None if endpoint.is_local() => Ok(None),
        None => {
            let problem = format!("it is missing, and `{of}` is on another host");
            let expected = "the path of a file that holds the token";
            Err(section.error(key, problem, expected))
        }
    }
}
