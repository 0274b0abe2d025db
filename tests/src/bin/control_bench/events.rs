//! `events_512`: an autoscaler that launches and terminates backends of one service of 512, 10,000 events a minute.
//!
//! Sixteen connections take turns; an event is due when it is due, and is sent when its connection is free. The time of
//! an event is from its sending to its answer; how far sending fell behind is told as `behind_p99_ms`. At the end the
//! service has to have the backends that the events say (`lost`: how many are missing or too many).

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hyper::Method;
use serde_json::json;
use tokio::time::sleep_until;

use crate::cases::{Case, Size};
use crate::http::{Connection, Place, block_on};
use crate::line::Line;
use crate::scene::{API, Scene};
use crate::services::Services;

const CONNECTIONS: usize = 16;

/// Ten thousand a minute.
const INTERVAL: Duration = Duration::from_millis(6);

/// A backend is terminated when so many were launched after it.
const LIVE: usize = 50;

/// How long all events may take.
const EVENTS_TIMEOUT: Duration = Duration::from_secs(60);

/// Of backends that come and go.
const FIRST: u32 = u32::from_be_bytes([10, 30, 0, 1]);

/// What an event says of a backend that comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Launched(usize),
    Terminated(usize),
}

/// The `number`th event: first enough are launched, then one comes and one goes in turns.
fn said(number: usize) -> Said {
    match number.checked_sub(LIVE) {
        None => Said::Launched(number),
        Some(after) if after % 2 == 0 => Said::Launched(LIVE + after / 2),
        Some(after) => Said::Terminated(after / 2),
    }
}

fn address(backend: usize) -> Ipv4Addr {
    Ipv4Addr::from(FIRST + backend as u32)
}

/// What became of one event.
struct Told {
    number: usize,
    behind_ms: f64,
    reply_ms: f64,
}

pub(crate) fn measure(case: Case, size: Size, lbd: &Path) -> Result<Line> {
    let services = Services::new(size.pick(512, 8), 8);
    let total = size.pick(3_334, 400);
    let scene = Scene::new(lbd, services, "")?;
    let daemon = scene.start()?;
    let service = services.name(services.count / 2);
    let mark = scene.mark(&daemon)?;
    // The interface for events is inside the edge's namespace.
    let (told, refused, took) = scene.edge.enter(|| block_on(tell(&service, total)))??;
    let cpu = scene.used_since(&daemon, &mark)?;
    let cpu_percent = mark.cpu_percent(&cpu);
    let path = format!("/v1/backends?service={service}");
    let items = block_on(async { Connection::new(scene.api()).items(&path).await })?;
    let addresses: BTreeSet<Ipv4Addr> = items
        .iter()
        .filter_map(|item| item["address"].as_str()?.parse().ok())
        .collect();
    let mut expected: BTreeSet<Ipv4Addr> = (0..services.backends_of(services.count / 2))
        .map(|backend| services.backend(services.count / 2, backend))
        .collect();
    let done: BTreeSet<usize> = told.iter().map(|told| told.number).collect();
    let events: Vec<Said> = done.iter().map(|&number| said(number)).collect();
    for event in &events {
        if let Said::Launched(backend) = event {
            expected.insert(address(*backend));
        }
    }
    for event in &events {
        if let Said::Terminated(backend) = event {
            expected.remove(&address(*backend));
        }
    }
    let reply_ms: Vec<f64> = told.iter().map(|told| told.reply_ms).collect();
    let behind_ms: Vec<f64> = told.iter().map(|told| told.behind_ms).collect();
    Ok(Line::new(case, &services, &reply_ms, cpu)
        .with_quantiles(["behind_p50_ms", "behind_p99_ms"], &behind_ms)
        .with("events", told.len() as f64)
        .with("per_s", told.len() as f64 / took.as_secs_f64())
        .with("refused", refused as f64)
        .with(
            "lost",
            expected.symmetric_difference(&addresses).count() as f64,
        )
        .with("cpu_percent", cpu_percent)
        .timed_out(told.len() + refused < total))
}

/// Sends every event; those that were answered well, how many were not, and how long all took.
async fn tell(service: &str, total: usize) -> Result<(Vec<Told>, usize, Duration)> {
    let api: SocketAddr = API.parse().context("an address")?;
    let began = Instant::now();
    let tellers: Vec<_> = (0..CONNECTIONS)
        .map(|first| {
            let service = service.to_owned();
            tokio::spawn(async move { tell_some(api, &service, began, first, total).await })
        })
        .collect();
    let (mut told, mut refused) = (Vec::new(), 0);
    for teller in tellers {
        let (some, others) = teller.await?;
        told.extend(some);
        refused += others;
    }
    Ok((told, refused, began.elapsed()))
}

/// Sends the events of one connection.
async fn tell_some(
    api: SocketAddr,
    service: &str,
    began: Instant,
    first: usize,
    total: usize,
) -> (Vec<Told>, usize) {
    let mut connection = Connection::new(Place::Tcp(api));
    let (mut told, mut refused) = (Vec::new(), 0);
    for number in (first..total).step_by(CONNECTIONS) {
        let due = began + INTERVAL * number as u32;
        if began.elapsed() >= EVENTS_TIMEOUT {
            break;
        }
        sleep_until(due.into()).await;
        let (kind, backend) = match said(number) {
            Said::Launched(backend) => ("backend.launched", backend),
            Said::Terminated(backend) => ("backend.terminated", backend),
        };
        let event = json!({
            "specversion": "1.0",
            "id": number.to_string(),
            "source": "/bench",
            "type": kind,
            "data": { "service": service, "address": address(backend), "incarnation": 1 },
        });
        let sent = Instant::now();
        let content = "application/cloudevents+json";
        let answer = connection
            .ask(Method::POST, "/v1/events", content, event.to_string())
            .await;
        match answer {
            Ok(_) => told.push(Told {
                number,
                behind_ms: (sent - due).as_secs_f64() * 1e3,
                reply_ms: sent.elapsed().as_secs_f64() * 1e3,
            }),
            Err(error) => {
                if refused == 0 {
                    eprintln!("  an event was not taken: {error:#}");
                }
                refused += 1;
            }
        }
    }
    (told, refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_was_launched_long_before() {
        assert_eq!(said(0), Said::Launched(0));
        assert_eq!(said(LIVE), Said::Launched(LIVE));
        assert_eq!(said(LIVE + 1), Said::Terminated(0));
        assert_eq!(said(LIVE + 2), Said::Launched(LIVE + 1));
        let launched_at =
            |backend| (0..500).position(|number| said(number) == Said::Launched(backend));
        let ended_at =
            |backend| (0..500).position(|number| said(number) == Said::Terminated(backend));
        for backend in 0..100 {
            assert!(launched_at(backend).unwrap() + LIVE <= ended_at(backend).unwrap());
        }
    }

    #[test]
    fn ten_thousand_events_are_due_in_a_minute() {
        assert_eq!(INTERVAL * 10_000, Duration::from_secs(60));
    }
}
