//! Whatever did not work, as a reply.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use balancer_core::state::Refusal;

use crate::{
    command::ChangeError,
    replies::{ErrorCode, ErrorReply},
};

/// An error on its way to the client.
#[derive(Debug)]
pub(crate) struct Failure(ErrorReply);

impl Failure {
    pub(crate) fn invalid(error: impl Into<String>) -> Self {
        Self(ErrorReply::new(ErrorCode::Invalid, error))
    }

    pub(crate) fn unauthorized(error: impl Into<String>) -> Self {
        Self(ErrorReply::new(ErrorCode::Unauthorized, error))
    }

    pub(crate) fn unsupported(error: impl Into<String>) -> Self {
        Self(ErrorReply::new(ErrorCode::UnsupportedMediaType, error))
    }

    pub(crate) fn not_found(error: impl Into<String>) -> Self {
        Self(ErrorReply::new(ErrorCode::NotFound, error))
    }

    pub(crate) fn no_route(error: impl Into<String>) -> Self {
        Self(ErrorReply::new(ErrorCode::NoRoute, error))
    }

    pub(crate) fn method_not_allowed(error: impl Into<String>) -> Self {
        Self(ErrorReply::new(ErrorCode::MethodNotAllowed, error))
    }

    pub(crate) fn too_large(error: impl Into<String>) -> Self {
        Self(ErrorReply::new(ErrorCode::TooLarge, error))
    }

    pub(crate) fn failed(error: impl Into<String>) -> Self {
        Self(ErrorReply::new(ErrorCode::Failed, error))
    }

    pub(crate) fn conflict(error: impl Into<String>) -> Self {
        Self(ErrorReply::new(ErrorCode::Conflict, error))
    }

    /// The daemon is stopping; nothing is known about a change that was under way.
    pub(crate) fn unavailable() -> Self {
        Self(ErrorReply::new(
            ErrorCode::Unavailable,
            "lbd is stopping and gave no answer: ask again once it runs, and look what became of the change",
        ))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(ErrorReply::new(
            ErrorCode::from(&refusal),
            refusal.to_string(),
        ))
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(refusal) => refusal.into(),
            ChangeError::Failed(error) => Self::failed(error),
            ChangeError::Partly(error) => Self(ErrorReply::new(ErrorCode::PartlyDone, error)),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0)).into_response()
    }
}
