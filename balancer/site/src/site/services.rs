//! The services of a workload at its edges.

use std::{collections::BTreeMap, net::IpAddr};

use balancer_config::workload::Port;
use balancer_core::model::{Encapsulation, HashPolicy, Service, ServiceKey, ServiceName};

use super::{Wanted, checks};

/// The services of a workload as an edge is to have them, without backends: one for each public port and VIP, `<slug>-<port name>`, and `-ipv6` behind it for an IPv6 VIP beside an IPv4 one.
pub fn services(wanted: &Wanted) -> Vec<Service> {
    let mut services = Vec::new();
    for container in &wanted.workload.containers {
        for port in container.ports.iter().filter(|port| port.public) {
            for vip in &wanted.vips {
                // The rules of a workload leave room for the longest name.
                let Ok(name) = name(wanted, port, vip) else {
                    continue;
                };
                services.push(Service {
                    name,
                    key: ServiceKey {
                        vip: *vip,
                        port: port.port,
                        protocol: port.protocol,
                    },
                    encapsulation: Encapsulation::default(),
                    hash: HashPolicy::default(),
                    // None if it can't be asked: UDP without a TCP port.
                    check: checks::edge_check(container.readiness.as_ref(), port),
                    drain_timeout_ms: u32::try_from(wanted.drain_timeout_ms).unwrap_or(u32::MAX),
                    backends: BTreeMap::new(),
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
