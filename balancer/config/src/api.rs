//! Where a daemon is asked over TCP, and what callers have to show.

use std::{net::SocketAddr, path::PathBuf};

use super::{ConfigError, edge::absolute, section::Section};

/// Where a daemon is asked over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiListen {
    /// The address.
    pub address: SocketAddr,
    /// The file with the token that callers show; without one the address is of this host alone.
    pub token_file: Option<PathBuf>,
}

/// `api_listen` and `api_token_file`.
pub(super) fn api_listen(file: &Section<'_>) -> Result<Option<ApiListen>, ConfigError> {
    let token_file = match file.get("api_token_file") {
        Some(value) => Some(absolute(&value)?),
        None => None,
    };
    let Some(value) = file.get("api_listen") else {
        return match token_file {
            None => Ok(None),
            Some(_) => {
                let problem = "there is no `api_listen` that it is for".into();
                Err(file.error("api_token_file", problem, "`api_listen` beside it"))
            }
        };
    };
    let expected = "an address and a port, such as \"10.1.0.2:9108\"";
    let address: SocketAddr = value.parse(expected)?;
    if address.port() == 0 {
        return Err(value.error("port 0 is a different port each time".into(), expected));
    }
    if token_file.is_none() && !address.ip().is_loopback() {
        let problem = format!("{address} can be reached from elsewhere, and no token is asked for");
        let expected = "`api_token_file` beside it, or a loopback address";
        return Err(value.error(problem, expected));
    }
    Ok(Some(ApiListen {
        address,
        token_file,
    }))
}
