//! The frame around every reply.

use balancer_core::state::{OperationId, Refusal};
use serde::{Deserialize, Serialize};

use super::views::OutcomeView;

/// The version of the interface that this crate speaks.
pub const API_VERSION: &str = "v1";

/// The reply to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListReply<T> {
    /// Always [`API_VERSION`].
    pub api_version: String,
    /// The desired state's generation.
    pub generation: u64,
    /// What was asked for.
    pub items: Vec<T>,
}

impl<T> ListReply<T> {
    /// A reply of this version.
    pub fn new(generation: u64, items: Vec<T>) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            generation,
            items,
        }
    }
}

/// The reply to a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeReply {
    /// Always [`API_VERSION`].
    pub api_version: String,
    /// The generation after the change; for a dry run, the one that the change would make.
    pub generation: u64,
    /// Whether nothing was changed because nothing was to be.
    pub dry_run: bool,
    /// What the change did, or would do.
    pub outcome: OutcomeView,
}

impl ChangeReply {
    /// A reply of this version.
    pub fn new(generation: u64, dry_run: bool, outcome: OutcomeView) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            generation,
            dry_run,
            outcome,
        }
    }
}

/// The reply to an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventReply {
    /// Always [`API_VERSION`].
    pub api_version: String,
    /// The generation after the event.
    pub generation: u64,
    /// What the event changed.
    pub outcome: OutcomeView,
    /// The drain that a `backend.terminating` began, for `GET /v1/operations/ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
}

/// The reply to anything that did not work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// Always [`API_VERSION`].
    pub api_version: String,
    /// What is wrong and what to do, a sentence.
    pub error: String,
    /// What kind of error it is, for programs.
    pub code: ErrorCode,
}

impl ErrorReply {
    /// A reply of this version.
    pub fn new(code: ErrorCode, error: impl Into<String>) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            error: error.into(),
            code,
        }
    }
}

/// The kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// A path, query or body that is not what the route takes, or a value that cannot be.
    Invalid,
    /// Without the right token.
    Unauthorized,
    /// The body is of a kind that the route does not read.
    UnsupportedMediaType,
    /// No such service or backend.
    NotFound,
    /// No such route; the daemon may be older than the client.
    NoRoute,
    /// The route does not know this method.
    MethodNotAllowed,
    /// It exists already.
    Conflict,
    /// A safety rule forbids it without `force`.
    Unsafe,
    /// The body is larger than the server reads.
    TooLarge,
    /// The edge could not do it; nothing changed.
    Failed,
    /// It is done in part; the edge tries the rest again by itself.
    PartlyDone,
    /// The daemon is stopping.
    Unavailable,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// The HTTP status that goes with it.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthorized => 401,
            Self::UnsupportedMediaType => 415,
            Self::NotFound | Self::NoRoute => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Unsafe => 422,
            Self::Failed | Self::PartlyDone | Self::Unknown => 500,
            Self::Unavailable => 503,
        }
    }

    /// The exit code of `lbctl` that goes with it.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Unavailable | Self::Unauthorized => 3,
            Self::NotFound => 4,
            Self::Conflict => 5,
            Self::Unsafe => 6,
            Self::PartlyDone => 7,
            Self::Invalid
            | Self::UnsupportedMediaType
            | Self::NoRoute
            | Self::MethodNotAllowed
            | Self::TooLarge
            | Self::Failed
            | Self::Unknown => 1,
        }
    }
}

impl From<&Refusal> for ErrorCode {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::NotFound { .. } => Self::NotFound,
            Refusal::Conflict { .. } => Self::Conflict,
            Refusal::Invalid { .. } => Self::Invalid,
            Refusal::Unsafe { .. } => Self::Unsafe,
        }
    }
}
