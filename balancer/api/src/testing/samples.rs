//! Services and what is shown of them.

use std::net::IpAddr;

use balancer_core::{
    model::{
        AdminState, BackendSpec, BackendState, CheckSpec, CheckType, Encapsulation, HashPolicy,
        Protocol, Service, ServiceName, ServiceSpec, Weight,
    },
    state::{Change, State},
};

use crate::views::{
    AnnounceView, BackendView, CheckedHealth, InterfaceStatus, ReasonCount, ServiceView, Snapshot,
    StatusView, Verdict, VipView, XdpAttachment,
};

pub fn name(name: &str) -> ServiceName {
    name.parse().unwrap()
}

pub fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// Service `web` at 198.51.100.10:8000/tcp.
pub fn web(backends: &[&str]) -> ServiceSpec {
    ServiceSpec {
        name: name("web"),
        vip: ip("198.51.100.10"),
        port: 8000,
        protocol: Protocol::Tcp,
        encapsulation: Encapsulation::Gue,
        hash: HashPolicy::Flow,
        check: Some(CheckSpec::new(CheckType::Http)),
        drain_timeout_ms: Service::DRAIN_TIMEOUT_MS,
        backends: backends
            .iter()
            .map(|address| BackendSpec {
                address: ip(address),
                weight: Weight::default(),
            })
            .collect(),
    }
}

/// Service `dns` at [2001:db8::53]:53/udp.
pub fn dns(backends: &[&str]) -> ServiceSpec {
    ServiceSpec {
        name: name("dns"),
        vip: ip("2001:db8::53"),
        port: 53,
        protocol: Protocol::Udp,
        check: None,
        ..web(backends)
    }
}

pub fn add(body: ServiceSpec) -> Change {
    Change::AddService(body.resolve().unwrap())
}

/// What a daemon without packets shows of its state.
pub fn snapshot(state: &State) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (name, each) in state.services.iter() {
        let shares = each.table.shares();
        let service = &each.service;
        snapshot.services.push(ServiceView {
            name: name.clone(),
            vip: service.key.vip,
            port: service.key.port,
            protocol: service.key.protocol,
            encapsulation: service.encapsulation,
            hash: service.hash,
            slots: each.table.slots(),
            generation: each.generation,
            backends: service.backends.len(),
            active: service
                .backends
                .values()
                .filter(|backend| backend.admin == AdminState::Active)
                .count(),
            fails_open: false,
            packets: 0,
            bytes: 0,
            check: String::new(),
        });
        snapshot
            .backends
            .extend(service.backends.values().map(|backend| {
                BackendView {
                    service: name.clone(),
                    address: backend.address,
                    weight: backend.weight.get(),
                    state: match backend.admin {
                        AdminState::Active => BackendState::Active,
                        AdminState::Draining => BackendState::Draining,
                    },
                    health: CheckedHealth::Unchecked,
                    slots: each
                        .ids
                        .get(&backend.address)
                        .and_then(|id| shares.get(id))
                        .copied()
                        .unwrap_or(0),
                    packets: 0,
                    bytes: 0,
                    next_hop: None,
                    last_check: None,
                }
            }));
    }
    snapshot
}

pub fn status(state: &State) -> StatusView {
    StatusView {
        version: "0.1.0".to_owned(),
        abi_version: 1,
        generation: state.generation,
        interface: "eth0".to_owned(),
        xdp_mode: XdpAttachment::Native,
        program_id: 42,
        services: state.services.len(),
        drained: false,
        ..StatusView::default()
    }
}

/// An edge in the middle of its life: every field says something.
pub fn busy() -> Snapshot {
    let count = |reason: &str, verdict, packets| ReasonCount {
        reason: reason.to_owned(),
        verdict,
        packets,
    };
    Snapshot {
        status: StatusView {
            version: "0.1.0".to_owned(),
            abi_version: 1,
            generation: 1_007,
            interface: "eth0".to_owned(),
            interfaces: vec![InterfaceStatus {
                name: "eth0".to_owned(),
                xdp_mode: XdpAttachment::Native,
                up: true,
                takes_tags_off: true,
            }],
            xdp_mode: XdpAttachment::Native,
            program_id: 42,
            taken_over: true,
            uptime_seconds: 11_525,
            services: 2,
            backends: 3,
            reasons: vec![
                count("echo_answered", Verdict::Answer, 1_234_567),
                count("not_for_vip", Verdict::Pass, 89),
                count("undeclared_port", Verdict::Drop, 0),
            ],
            warnings: vec!["backend 10.1.0.11 has no next hop".to_owned()],
            drained: false,
            announce: Some(AnnounceView {
                speaker: "gobgp at 127.0.0.1:50051".to_owned(),
                error: None,
                vips: vec![
                    VipView {
                        vip: ip("198.51.100.10"),
                        announced: true,
                        withheld: None,
                    },
                    VipView {
                        vip: ip("2001:db8::53"),
                        announced: false,
                        withheld: Some("none of its services has a usable backend".to_owned()),
                    },
                ],
            }),
        },
        services: vec![
            ServiceView {
                name: name("dns"),
                vip: ip("2001:db8::53"),
                port: 53,
                protocol: Protocol::Udp,
                encapsulation: Encapsulation::Ip6ip6,
                hash: HashPolicy::Source,
                slots: 256,
                generation: 7,
                backends: 1,
                active: 0,
                fails_open: true,
                packets: 0,
                bytes: 0,
                check: String::new(),
            },
            ServiceView {
                name: name("web"),
                vip: ip("198.51.100.10"),
                port: 8000,
                protocol: Protocol::Tcp,
                encapsulation: Encapsulation::Gue,
                hash: HashPolicy::Flow,
                slots: 1_024,
                generation: 1_007,
                backends: 2,
                active: 1,
                fails_open: false,
                packets: 1_234_567,
                bytes: 3_500_000_000,
                check: "http :8000/ every 1000 ms".to_owned(),
            },
        ],
        backends: vec![
            BackendView {
                service: name("dns"),
                address: ip("2001:db8:1::10"),
                weight: 1,
                state: BackendState::Down,
                health: CheckedHealth::Unknown,
                slots: 256,
                packets: 0,
                bytes: 0,
                next_hop: Some("02:00:00:00:00:01 dev eth0".to_owned()),
                last_check: None,
            },
            BackendView {
                service: name("web"),
                address: ip("10.1.0.10"),
                weight: 1_000,
                state: BackendState::Active,
                health: CheckedHealth::Up,
                slots: 1_024,
                packets: 1_234_000,
                bytes: 3_499_999_433,
                next_hop: Some("02:00:00:00:00:02 dev eth0".to_owned()),
                last_check: None,
            },
            BackendView {
                service: name("web"),
                address: ip("10.1.0.11"),
                weight: 1,
                state: BackendState::Draining,
                health: CheckedHealth::Down,
                slots: 0,
                packets: 567,
                bytes: 567,
                next_hop: None,
                last_check: Some("connection refused".to_owned()),
            },
        ],
    }
}
