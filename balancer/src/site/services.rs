//! The services of a workload at its edges.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Wanted;
use crate::{
    model::{Protocol, ServiceName},
    workload::{Port, ProbeKind},
};

/// A service as an edge is to have it, its backends left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Its name.
    pub name: ServiceName,
    /// Where clients send to.
    pub vip: IpAddr,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// What the edge asks each backend; nothing if it can't be asked (UDP without a TCP port).
    pub check: Option<CheckSpec>,
    /// How long a draining backend stays when nobody says how long, in milliseconds.
    pub drain_timeout_ms: u32,
}

/// What an edge asks each backend: the workload's readiness probe, more often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSpec {
    /// The question.
    pub kind: ProbeKind,
    /// From one to the next, in milliseconds.
    pub interval_ms: u32,
    /// How long an answer may take, in milliseconds.
    pub timeout_ms: u32,
    /// Failures in a row that take a backend out.
    pub fall: u8,
}

/// The longest interval of an edge's check, in milliseconds: what sends packets to an instance has to know soon that it died.
const SLOWEST_MS: u32 = 1_000;

/// One service for each public port and VIP: `<slug>-<port name>`, and `-ipv6` behind it for an IPv6 VIP beside an IPv4 one.
pub fn services(wanted: &Wanted) -> Vec<ServiceSpec> {
    let mut services = Vec::new();
    for container in &wanted.workload.containers {
        for port in container.ports.iter().filter(|port| port.public) {
            for vip in &wanted.vips {
                // The rules of a workload leave room for the longest name.
                let Ok(name) = name(wanted, port, vip) else {
                    continue;
                };
                services.push(ServiceSpec {
                    name,
                    vip: *vip,
                    port: port.port,
                    protocol: port.protocol,
                    check: check(container.readiness.as_ref(), port),
                    drain_timeout_ms: u32::try_from(wanted.drain_timeout_ms).unwrap_or(u32::MAX),
                });
            }
        }
    }
    services
}

fn name(wanted: &Wanted, port: &Port, vip: &IpAddr) -> Result<ServiceName, String> {
    let name = wanted.workload.service_name(port)?;
    match vip.is_ipv6() && wanted.vips.iter().any(IpAddr::is_ipv4) {
        true => format!("{name}-ipv6").parse(),
        false => Ok(name),
    }
}

fn check(readiness: Option<&crate::workload::Probe>, port: &Port) -> Option<CheckSpec> {
    let (kind, period, timeout, fall) = match readiness {
        Some(probe) => (
            probe.kind.clone(),
            probe.period_seconds,
            probe.timeout_seconds,
            probe.failure_threshold,
        ),
        None if port.protocol == Protocol::Tcp => (ProbeKind::Tcp { port: port.port }, 1, 1, 3),
        None => return None,
    };
    let interval_ms = period.saturating_mul(1_000).clamp(100, SLOWEST_MS);
    Some(CheckSpec {
        kind,
        interval_ms,
        timeout_ms: timeout.saturating_mul(1_000).clamp(100, interval_ms),
        fall: u8::try_from(fall).unwrap_or(u8::MAX).clamp(1, 10),
    })
}
