//! CloudEvents 1.0 over HTTP, as far as backends' lives are told by them.
//!
//! Structured (`application/cloudevents+json`) and binary (headers `ce-*`) content mode. Extension attributes are
//! ignored, as CloudEvents asks; in `data` an unknown key is refused, for it is a typing error.

mod body;

use axum::http::{HeaderMap, header::CONTENT_TYPE};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use thiserror::Error;

use balancer_core::state::Event;

/// The types of events that are taken.
pub const TYPES: [&str; 3] = [
    "backend.launched",
    "backend.terminating",
    "backend.terminated",
];

/// Why a request is no event of ours; the message says what would be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EventError {
    /// The body is of a kind that is not read.
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// It is not a CloudEvent, or says what cannot be.
    #[error("{0}")]
    Invalid(String),
}

/// A CloudEvent's attributes that matter, and its data.
struct Envelope {
    specversion: Option<String>,
    id: Option<String>,
    source: Option<String>,
    kind: Option<String>,
    data: Value,
}

/// Reads a request as an event.
///
/// # Errors
///
/// When it is no CloudEvent, of no known type, or its data is not what the type has.
pub fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Event, EventError> {
    let media_type = media_type(headers)?;
    let envelope = match media_type.as_str() {
        "application/cloudevents+json" => structured(body)?,
        "application/cloudevents-batch+json" => {
            return Err(EventError::UnsupportedMediaType(
                "batches of events are not taken: send each event in a request of its own".into(),
            ));
        }
        other if other.starts_with("application/cloudevents") => {
            return Err(EventError::UnsupportedMediaType(format!(
                "events in {other} are not read: send application/cloudevents+json"
            )));
        }
        other if headers.contains_key("ce-specversion") => binary(headers, other, body)?,
        _ => {
            return Err(EventError::UnsupportedMediaType(
                "this is no CloudEvent: send `Content-Type: application/cloudevents+json`, or the headers \
                 ce-specversion, ce-id, ce-source and ce-type with JSON data"
                    .into(),
            ));
        }
    };
    envelope.event()
}

impl Envelope {
    fn event(self) -> Result<Event, EventError> {
        let required = |name: &str, value: Option<String>| match value {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(invalid(format!(
                "the event has no `{name}`: CloudEvents asks for id, source, specversion and type"
            ))),
        };
        let specversion = required("specversion", self.specversion)?;
        if specversion != "1.0" {
            return Err(invalid(format!(
                "specversion {specversion:?} is not known: send \"1.0\""
            )));
        }
        required("id", self.id)?;
        required("source", self.source)?;
        let kind = required("type", self.kind)?;
        body::event(&kind, self.data)
    }
}

fn invalid(message: String) -> EventError {
    EventError::Invalid(message)
}

/// The media type of the body in small letters and without parameters; empty when there is none.
fn media_type(headers: &HeaderMap) -> Result<String, EventError> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(String::new());
    };
    let text = value
        .to_str()
        .map_err(|_| invalid("the Content-Type has characters that are not ASCII".into()))?;
    let kind = text.split(';').next().unwrap_or_default();
    Ok(kind.trim().to_ascii_lowercase())
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type == "text/json" || media_type.ends_with("+json")
}

/// The whole event is one JSON object.
fn structured(body: &[u8]) -> Result<Envelope, EventError> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("the body is no JSON: {error}")))?;
    let Value::Object(mut event) = value else {
        return Err(invalid("the body is no JSON object".into()));
    };
    let mut text = |name: &str| match event.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(invalid(format!("`{name}` is no string but {other}"))),
    };
    let (specversion, id, source, kind) = (
        text("specversion")?,
        text("id")?,
        text("source")?,
        text("type")?,
    );
    if let Some(content) = text("datacontenttype")?
        && !is_json(&content.to_ascii_lowercase())
    {
        return Err(EventError::UnsupportedMediaType(format!(
            "data in {content} is not read: send JSON"
        )));
    }
    if event.contains_key("data_base64") {
        return Err(invalid(
            "`data_base64` is not read: write the data as JSON in `data`".into(),
        ));
    }
    Ok(Envelope {
        specversion,
        id,
        source,
        kind,
        data: event.remove("data").unwrap_or(Value::Null),
    })
}

/// The attributes are headers, and the body is the data.
fn binary(headers: &HeaderMap, media_type: &str, body: &[u8]) -> Result<Envelope, EventError> {
    if !is_json(media_type) {
        return Err(EventError::UnsupportedMediaType(match media_type {
            "" => "the data's kind is not said: send `Content-Type: application/json`".into(),
            other => format!("data in {other} is not read: send application/json"),
        }));
    }
    let data = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("the data is no JSON: {error}")))?;
    let text = |name| attribute(headers, name);
    Ok(Envelope {
        specversion: text("ce-specversion")?,
        id: text("ce-id")?,
        source: text("ce-source")?,
        kind: text("ce-type")?,
        data,
    })
}

/// An attribute in a header: quotes are taken off, then percent-encoding, as the HTTP binding says.
fn attribute(headers: &HeaderMap, name: &str) -> Result<Option<String>, EventError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| {
        invalid(format!(
            "{name} has characters that are not ASCII: percent-encode them"
        ))
    })?;
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let bare = match quoted {
        None => text.to_owned(),
        Some(quoted) => {
            let mut bare = String::new();
            let mut letters = quoted.chars();
            while let Some(letter) = letters.next() {
                let escaped = (letter == '\\').then(|| letters.next()).flatten();
                bare.push(escaped.unwrap_or(letter));
            }
            bare
        }
    };
    let decoded = percent_decode_str(&bare).decode_utf8().map_err(|_| {
        invalid(format!(
            "{name} is percent-encoded to bytes that are no UTF-8"
        ))
    })?;
    Ok(Some(decoded.into_owned()))
}

#[cfg(test)]
mod tests;
