//! Why there is no good answer.

use std::{io, time::Duration};

use balancer_core::model::Endpoint;
use thiserror::Error;

use crate::replies::ErrorCode;

/// Why there is no good answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error(
        "lbd does not answer on {}: {source}; is it running? (systemctl status lbd)",
        endpoint.place()
    )]
    Unreachable {
        /// Who was asked.
        endpoint: Endpoint,
        /// What the kernel said.
        source: io::Error,
    },
    /// The socket is not ours to use.
    #[error(
        "may not use {}: permission denied; run lbctl as root or as a member of the socket's group",
        endpoint.place()
    )]
    Forbidden {
        /// Who was asked.
        endpoint: Endpoint,
    },
    /// The daemon took too long.
    #[error(
        "lbd on {} did not answer within {} s; a change may or may not have been made: look with `lbctl status`",
        endpoint.place(),
        timeout.as_secs_f32()
    )]
    TimedOut {
        /// Who was asked.
        endpoint: Endpoint,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// The daemon said no; the message is its own.
    #[error("{error}")]
    Refused {
        /// What kind of error it is.
        code: ErrorCode,
        /// Its sentence.
        error: String,
    },
    /// The answer is none of this interface's.
    #[error(
        "the answer on {} makes no sense: {why}; are lbctl and lbd of the same version?",
        endpoint.place()
    )]
    Garbled {
        /// Who was asked.
        endpoint: Endpoint,
        /// What is wrong with it.
        why: String,
    },
}

impl ClientError {
    /// What it means that there is no connection.
    pub(crate) fn without_connection(endpoint: Endpoint, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Forbidden { endpoint },
            _ => Self::Unreachable { endpoint, source },
        }
    }

    /// The exit code of `lbctl` that goes with it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } | Self::Forbidden { .. } => 3,
            Self::TimedOut { .. } => 8,
            Self::Refused { code, .. } => code.exit_code(),
            Self::Garbled { .. } => 1,
        }
    }
}
