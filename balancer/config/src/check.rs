//! The `check` of a service in a file.

use balancer_core::model::{Check, CheckKind};

use super::{ConfigError, section::Value};

/// Milliseconds from probe to probe, unless the file says otherwise.
const INTERVAL_MS: u32 = 1_000;
/// Milliseconds until a probe has failed, unless the file says otherwise or the interval is shorter.
const TIMEOUT_MS: u32 = 500;
const RISE: u8 = 2;
const FALL: u8 = 3;

#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Http,
}

/// Reads a check; its port is the service's unless the file says otherwise.
pub(super) fn check(value: &Value<'_>, service_port: u16) -> Result<Check, ConfigError> {
    const COMMON: [&str; 6] = ["type", "port", "interval_ms", "timeout_ms", "rise", "fall"];
    const HTTP: [&str; 7] = [
        "type",
        "path",
        "port",
        "interval_ms",
        "timeout_ms",
        "rise",
        "fall",
    ];
    let expected = "a table such as { type = \"tcp\" }";
    let section = value.section(&HTTP, expected)?;
    let kind = section.required("type", "\"tcp\" or \"http\"")?;
    let kind = match kind.word(&[("tcp", Kind::Tcp), ("http", Kind::Http)])? {
        Kind::Tcp => {
            // Now without the path.
            value.section(&COMMON, expected)?;
            CheckKind::Tcp
        }
        Kind::Http => CheckKind::Http {
            path: match section.get("path") {
                Some(path) => path.string("a path such as \"/healthz\"")?.to_owned(),
                None => "/".to_owned(),
            },
        },
    };
    let milliseconds = |key, otherwise| match section.get(key) {
        Some(value) => value.integer("a number of milliseconds"),
        None => Ok(otherwise),
    };
    let count = |key, otherwise| match section.get(key) {
        Some(value) => value.integer("1 to 255"),
        None => Ok(otherwise),
    };
    let interval_ms = milliseconds("interval_ms", INTERVAL_MS)?;
    Ok(Check {
        kind,
        port: match section.get("port") {
            Some(port) => port.integer("1 to 65535")?,
            None => service_port,
        },
        interval_ms,
        timeout_ms: milliseconds("timeout_ms", TIMEOUT_MS.min(interval_ms))?,
        rise: count("rise", RISE)?,
        fall: count("fall", FALL)?,
    })
}
