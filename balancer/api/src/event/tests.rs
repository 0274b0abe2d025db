//! Events byte for byte: what is taken, and what is refused.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use balancer_core::state::Happened;

use super::*;

const DATA: &str = r#"{"service":"web","address":"10.1.0.10","incarnation":3,"weight":2}"#;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |&(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn in_structure(body: &str) -> Result<Event, EventError> {
    let content = "application/cloudevents+json; charset=utf-8";
    parse(&headers(&[("content-type", content)]), body.as_bytes())
}

fn of(kind: &str, data: &str) -> Result<Event, EventError> {
    in_structure(&format!(
        r#"{{"specversion":"1.0","id":"1","source":"/asg","type":"{kind}","data":{data}}}"#
    ))
}

fn in_headers(changed: &[(&str, &str)], body: &str) -> Result<Event, EventError> {
    let mut all = headers(&[
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/asg"),
        ("ce-type", "backend.launched"),
    ]);
    all.extend(headers(changed));
    parse(&all, body.as_bytes())
}

// Promise: V1
#[test]
fn both_content_modes_say_the_same() {
    let launched = Event {
        service: "web".parse().unwrap(),
        address: "10.1.0.10".parse().unwrap(),
        incarnation: 3,
        happened: Happened::Launched {
            weight: 2.try_into().unwrap(),
            agent: None,
            instance: None,
        },
    };
    assert_eq!(of("backend.launched", DATA), Ok(launched.clone()));
    assert_eq!(in_headers(&[], DATA), Ok(launched));
}

#[test]
fn extension_attributes_are_ignored() {
    let event = format!(
        r#"{{"specversion":"1.0","id":"1","source":"/a","type":"backend.launched","traceparent":"x","n":7,"data":{DATA}}}"#
    );
    assert!(in_structure(&event).is_ok());
    assert!(in_headers(&[("ce-traceparent", "x")], DATA).is_ok());
}

#[test]
fn attributes_in_headers_are_unquoted_and_percent_decoded() {
    for kind in [
        "\"backend.launched\"",
        "backend%2Elaunched",
        "\"back\\end%2elaunched\"",
    ] {
        assert!(in_headers(&[("ce-type", kind)], DATA).is_ok(), "{kind}");
    }
    let error = in_headers(&[("ce-type", "%ff")], DATA).unwrap_err();
    assert!(error.to_string().contains("no UTF-8"), "{error}");
}

#[test]
fn a_deadline_has_any_offset() {
    for deadline in [
        "2023-11-14T22:13:20Z",
        "2023-11-14T23:13:20+01:00",
        "2023-11-14T22:13:20.000Z",
    ] {
        let data = format!(r#"{{"service":"web","address":"fd00::1","deadline":"{deadline}"}}"#);
        let event = of("backend.terminating", &data).unwrap();
        let deadline_unix_ms = 1_700_000_000_000;
        assert_eq!(event.happened, Happened::Terminating { deadline_unix_ms });
        assert_eq!(event.incarnation, 0);
    }
}

// Promise: V1
#[test]
fn what_is_no_event_is_refused_with_a_sentence() {
    let refusals = [
        (in_structure("{"), "the body is no JSON"),
        (in_structure("[]"), "no JSON object"),
        (in_structure("{}"), "the event has no `specversion`"),
        (
            in_structure(r#"{"specversion":1.0}"#),
            "`specversion` is no string",
        ),
        (in_structure(r#"{"specversion":"0.3"}"#), "send \"1.0\""),
        (in_structure(r#"{"specversion":"1.0"}"#), "no `id`"),
        (in_structure(r#"{"specversion":"1.0","id":""}"#), "no `id`"),
        (
            in_structure(r#"{"specversion":"1.0","id":"1"}"#),
            "no `source`",
        ),
        (
            in_structure(r#"{"specversion":"1.0","id":"1","source":"/"}"#),
            "no `type`",
        ),
        (
            in_structure(r#"{"specversion":"1.0","data_base64":"e30="}"#),
            "in `data`",
        ),
        (
            of("backend.exploded", DATA),
            "there are: backend.launched, backend.terminating, backend.terminated",
        ),
        (
            of("backend.launched", "null"),
            "the data is not what backend.launched has",
        ),
        (
            of("backend.launched", r#"{"service":"web"}"#),
            "missing field `address`",
        ),
        (
            of("backend.launched", r#"{"service":"web","address":"x"}"#),
            "invalid IP address",
        ),
        (
            of(
                "backend.launched",
                r#"{"service":"web","address":"10.1.0.1","wieght":1}"#,
            ),
            "unknown field `wieght`",
        ),
        (
            of(
                "backend.launched",
                r#"{"service":"web","address":"10.1.0.1","weight":1001}"#,
            ),
            "weight 1001 is above 1000",
        ),
        (
            of(
                "backend.launched",
                r#"{"service":"web","address":"10.1.0.1","agent":"ftp://x"}"#,
            ),
            "write unix:/path or http://host:port",
        ),
        (
            of(
                "backend.terminating",
                r#"{"service":"web","address":"10.1.0.1"}"#,
            ),
            "missing field `deadline`",
        ),
        (
            of(
                "backend.terminating",
                r#"{"service":"web","address":"10.1.0.1","deadline":"tomorrow"}"#,
            ),
            "2026-01-02T15:04:05Z",
        ),
        (in_headers(&[("ce-id", "\u{e9}")], DATA), "percent-encode"),
        (in_headers(&[], "{"), "the data is no JSON"),
    ];
    for (outcome, expected) in refusals {
        let error = outcome.unwrap_err();
        assert!(matches!(error, EventError::Invalid(_)), "{error:?}");
        assert!(
            error.to_string().contains(expected),
            "{error}\nlacks {expected}"
        );
    }
}

#[test]
fn other_kinds_of_bodies_are_unsupported() {
    let xml = [("content-type", "application/xml")];
    let kinds = [
        (parse(&HeaderMap::new(), b"{}"), "no CloudEvent"),
        (parse(&headers(&xml), b"{}"), "no CloudEvent"),
        (
            parse(
                &headers(&[("content-type", "application/cloudevents-batch+json")]),
                b"[]",
            ),
            "request of its own",
        ),
        (
            parse(
                &headers(&[("content-type", "application/cloudevents+avro")]),
                b"",
            ),
            "application/cloudevents+json",
        ),
        (in_headers(&xml, DATA), "send application/json"),
    ];
    for (outcome, expected) in kinds {
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, EventError::UnsupportedMediaType(_)),
            "{error:?}"
        );
        assert!(
            error.to_string().contains(expected),
            "{error}\nlacks {expected}"
        );
    }
}
