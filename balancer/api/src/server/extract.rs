//! What a request carries, read strictly: every error is a typed reply with a sentence.

use std::{collections::BTreeMap, net::IpAddr};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::BytesRejection},
    http::{StatusCode, header::CONTENT_LENGTH, request::Parts},
};
use balancer_core::{model::ServiceName, state::OperationId};
use serde::de::DeserializeOwned;

use super::failure::Failure;
use crate::BODY_LIMIT_BYTES;

/// A JSON body; the content type does not matter.
pub(crate) struct Body<T>(pub(crate) T);

/// A body of whatever kind, of at most so many bytes.
pub(crate) struct Raw<const LIMIT: usize = BODY_LIMIT_BYTES>(pub(crate) Bytes);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let Raw(bytes): Raw = Raw::from_request(request, state).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Failure::invalid(format!("the body is not what this route takes: {error}"))
        })
    }
}

impl<const LIMIT: usize, S: Send + Sync> FromRequest<S> for Raw<LIMIT> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let too_large = || Failure::too_large(format!("the body is larger than {LIMIT} bytes"));
        let announced = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|bytes: u64| bytes > LIMIT as u64) {
            return Err(too_large());
        }
        let bytes =
            Bytes::from_request(request, state)
                .await
                .map_err(|rejection: BytesRejection| {
                    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                        too_large()
                    } else {
                        Failure::invalid(format!("the body did not arrive whole: {rejection}"))
                    }
                })?;
        Ok(Self(bytes))
    }
}

/// The query's parameters.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(asked)| Self(asked))
            .map_err(|rejection| {
                // The rejection's own text only says that it failed; its source says where.
                let why = std::error::Error::source(&rejection)
                    .map_or_else(|| rejection.to_string(), ToString::to_string);
                Failure::invalid(format!("the query is not what this route takes: {why}"))
            })
    }
}

/// The service in the path.
pub(super) struct InService(pub(super) ServiceName);

impl<S: Send + Sync> FromRequestParts<S> for InService {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let segments = segments(parts, state).await?;
        name(&segments).map(Self)
    }
}

/// The operation in the path.
pub(super) struct InOperation(pub(super) OperationId);

impl<S: Send + Sync> FromRequestParts<S> for InOperation {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let segments = segments(parts, state).await?;
        let id = segment(&segments, "id").parse();
        id.map(Self).map_err(Failure::invalid)
    }
}

/// The service and the backend in the path.
pub(super) struct AtBackend(pub(super) ServiceName, pub(super) IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for AtBackend {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let segments = segments(parts, state).await?;
        let address = segment(&segments, "address");
        let address = address.parse().map_err(|_| {
            Failure::invalid(format!(
                "`{address}` is no address: write it like 10.1.0.10 or 2001:db8::10"
            ))
        })?;
        Ok(Self(name(&segments)?, address))
    }
}

async fn segments<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
) -> Result<BTreeMap<String, String>, Failure> {
    Path::from_request_parts(parts, state)
        .await
        .map(|Path(segments)| segments)
        .map_err(|rejection| Failure::invalid(format!("the path cannot be read: {rejection}")))
}

fn name(segments: &BTreeMap<String, String>) -> Result<ServiceName, Failure> {
    segment(segments, "name").parse().map_err(Failure::invalid)
}

fn segment<'a>(segments: &'a BTreeMap<String, String>, key: &str) -> &'a str {
    segments.get(key).map_or("", String::as_str)
}
