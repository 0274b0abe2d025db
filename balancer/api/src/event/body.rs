//! The data of each type of event.

use std::net::IpAddr;

use balancer_core::{
    model::{Endpoint, ServiceName, Weight},
    state::{Event, Happened},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{EventError, TYPES, invalid};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Launched {
    service: ServiceName,
    address: IpAddr,
    #[serde(default)]
    incarnation: u64,
    #[serde(default)]
    weight: Weight,
    agent: Option<Endpoint>,
    instance: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Terminating {
    service: ServiceName,
    address: IpAddr,
    #[serde(default)]
    incarnation: u64,
    deadline: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Terminated {
    service: ServiceName,
    address: IpAddr,
    #[serde(default)]
    incarnation: u64,
}

/// What an event of this type says.
pub(super) fn event(kind: &str, data: Value) -> Result<Event, EventError> {
    match kind {
        "backend.launched" => {
            let data: Launched = read(kind, data)?;
            Ok(Event {
                service: data.service,
                address: data.address,
                incarnation: data.incarnation,
                happened: Happened::Launched {
                    weight: data.weight,
                    agent: data.agent.map(String::from),
                    instance: data.instance,
                },
            })
        }
        "backend.terminating" => {
            let data: Terminating = read(kind, data)?;
            Ok(Event {
                service: data.service,
                address: data.address,
                incarnation: data.incarnation,
                happened: Happened::Terminating {
                    deadline_unix_ms: deadline_unix_ms(&data.deadline)?,
                },
            })
        }
        "backend.terminated" => {
            let data: Terminated = read(kind, data)?;
            Ok(Event {
                service: data.service,
                address: data.address,
                incarnation: data.incarnation,
                happened: Happened::Terminated,
            })
        }
        other => Err(invalid(format!(
            "type {other:?} is not known; there are: {}",
            TYPES.join(", ")
        ))),
    }
}

fn read<T: DeserializeOwned>(kind: &str, data: Value) -> Result<T, EventError> {
    serde_json::from_value(data)
        .map_err(|error| invalid(format!("the data is not what {kind} has: {error}")))
}

/// Milliseconds since 1970; a time before it is 1970.
fn deadline_unix_ms(text: &str) -> Result<u64, EventError> {
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|error| {
        invalid(format!(
            "deadline {text:?}: {error}; write a time like 2026-01-02T15:04:05Z"
        ))
    })?;
    let ms = time.unix_timestamp_nanos() / 1_000_000;
    Ok(u64::try_from(ms.max(0)).unwrap_or(u64::MAX))
}
