//! Each family of metrics and what fills it, in the order of their names.

use std::fmt::Display;

use balancer_api::views::{BackendView, ServiceView, Snapshot, StatusView, XdpAttachment};
use balancer_core::model::BackendState;

use super::exposition::Exposition;

/// About as many bytes as a backend takes of a page, and a service, with names and addresses of usual lengths.
const BACKEND_BYTES: usize = 640;
const SERVICE_BYTES: usize = 320;

/// The snapshot in Prometheus' classic text format, ready to be scraped.
pub fn render(snapshot: &Snapshot) -> String {
    let bytes = snapshot.backends.len() * BACKEND_BYTES + snapshot.services.len() * SERVICE_BYTES;
    let mut page = Exposition::with_capacity(bytes);
    backends(&mut page, &snapshot.backends);
    edge(&mut page, &snapshot.status);
    services(&mut page, &snapshot.services);
    announcing(&mut page, &snapshot.status);
    page.into_text()
}

fn edge(page: &mut Exposition, status: &StatusView) {
    page.gauge(
        "lb_build_info",
        "The daemon's version and its ABI; always 1.",
    )
    .sample(
        &[("abi", &status.abi_version), ("version", &status.version)],
        1,
    );
    page.gauge(
        "lb_edge_drained",
        "Whether the operator has drained the edge.",
    )
    .sample(&[], status.drained.into());
    page.gauge("lb_generation", "Generation of the desired state.")
        .sample(&[], status.generation);
    let mut strips_tags = page.gauge(
        "lb_interface_takes_tags_off",
        "Whether the interface strips VLAN tags before the XDP program sees the frame.",
    );
    for interface in &status.interfaces {
        strips_tags.sample(
            &[("interface", &interface.name)],
            interface.takes_tags_off.into(),
        );
    }
    let mut packets = page.counter(
        "lb_packets_total",
        "Packets that the edge saw, by what became of them.",
    );
    for count in &status.reasons {
        packets.sample(&[("reason", &count.reason)], count.packets);
    }
}

fn announcing(page: &mut Exposition, status: &StatusView) {
    let mut announced = page.gauge(
        "lb_vip_announced",
        "Whether the speaker is known to announce the VIP for this edge.",
    );
    for vip in status.announce.iter().flat_map(|announce| &announce.vips) {
        announced.sample(&[("vip", &vip.vip)], vip.announced.into());
    }
    let mut attached = page.gauge(
        "lb_xdp_attached",
        "Whether the XDP program is on the interface in this mode, as the kernel says.",
    );
    for interface in &status.interfaces {
        for mode in [XdpAttachment::Generic, XdpAttachment::Native] {
            attached.sample(
                &[("interface", &interface.name), ("mode", &mode)],
                (interface.xdp_mode == mode).into(),
            );
        }
    }
}

fn services(page: &mut Exposition, services: &[ServiceView]) {
    let mut fails_open = page.gauge(
        "lb_service_fails_open",
        "Whether no backend is usable, so that all get packets nevertheless.",
    );
    for service in services {
        fails_open.sample(&[("service", &service.name)], service.fails_open.into());
    }
    let mut generation = page.gauge(
        "lb_service_generation",
        "Generation of the service's table.",
    );
    for service in services {
        generation.sample(&[("service", &service.name)], service.generation);
    }
    let mut packets = page.counter(
        "lb_service_packets_total",
        "Packets sent to the service's backends.",
    );
    for service in services {
        packets.sample(&[("service", &service.name)], service.packets);
    }
    let mut slots = page.gauge("lb_service_slots", "Slots of the service's table.");
    for service in services {
        slots.sample(&[("service", &service.name)], service.slots as u64);
    }
}

fn backends(page: &mut Exposition, backends: &[BackendView]) {
    let mut bytes = page.counter(
        "lb_backend_bytes_total",
        "Bytes of inner IP packets sent to the backend.",
    );
    for backend in backends {
        bytes.sample(&labels(backend), backend.bytes);
    }
    let mut packets = page.counter("lb_backend_packets_total", "Packets sent to the backend.");
    for backend in backends {
        packets.sample(&labels(backend), backend.packets);
    }
    let mut slots = page.gauge("lb_backend_slots", "Slots that the backend owns.");
    for backend in backends {
        slots.sample(&labels(backend), backend.slots as u64);
    }
    let mut state = page.gauge("lb_backend_state", "Whether the backend is in this state.");
    for backend in backends {
        let [address, service] = labels(backend);
        for each in [
            BackendState::Active,
            BackendState::Down,
            BackendState::Draining,
        ] {
            state.sample(
                &[address, service, ("state", &each)],
                (backend.state == each).into(),
            );
        }
    }
    let mut up = page.gauge(
        "lb_backend_up",
        "Whether the backend's health checks pass, or there are none.",
    );
    for backend in backends {
        up.sample(&labels(backend), backend.is_up().into());
    }
    let mut weight = page.gauge("lb_backend_weight", "Weight of the backend.");
    for backend in backends {
        weight.sample(&labels(backend), backend.weight.into());
    }
}

fn labels(backend: &BackendView) -> [(&'static str, &dyn Display); 2] {
    [("backend", &backend.address), ("service", &backend.service)]
}
