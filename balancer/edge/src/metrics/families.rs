//! Each family of metrics and what fills it.

use balancer_core::model::BackendState;
use prometheus::{
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

use balancer_api::views::{BackendView, ServiceView, Snapshot, StatusView, XdpAttachment};

/// The snapshot in Prometheus' classic text format, ready to be scraped.
pub fn render(snapshot: &Snapshot) -> String {
    text(snapshot).expect("names and labels of the families are constants that Prometheus takes")
}

// A registry of its own for every scrape: series of removed backends vanish by themselves.
fn text(snapshot: &Snapshot) -> prometheus::Result<String> {
    let registry = Registry::new();
    edge(&registry, &snapshot.status)?;
    services(&registry, &snapshot.services)?;
    backends(&registry, &snapshot.backends)?;
    TextEncoder::new().encode_to_string(&registry.gather())
}

fn edge(registry: &Registry, status: &StatusView) -> prometheus::Result<()> {
    let packets = counters(
        registry,
        "lb_packets_total",
        "Packets that the edge saw, by what became of them.",
        &["reason"],
    )?;
    for count in &status.reasons {
        packets
            .get_metric_with_label_values(&[&count.reason])?
            .inc_by(count.packets);
    }

    let generation = IntGauge::new("lb_generation", "Generation of the desired state.")?;
    generation.set(number(status.generation));
    keep(registry, &generation)?;

    let attached = gauges(
        registry,
        "lb_xdp_attached",
        "Whether the XDP program is on the interface in this mode, as the kernel says.",
        &["interface", "mode"],
    )?;
    let strips_tags = gauges(
        registry,
        "lb_interface_takes_tags_off",
        "Whether the interface strips VLAN tags before the XDP program sees the frame.",
        &["interface"],
    )?;
    for interface in &status.interfaces {
        let name = interface.name.as_str();
        for mode in [XdpAttachment::Native, XdpAttachment::Generic] {
            let gauge = attached.get_metric_with_label_values(&[name, &mode.to_string()])?;
            gauge.set(flag(interface.xdp_mode == mode));
        }
        strips_tags
            .get_metric_with_label_values(&[name])?
            .set(flag(interface.takes_tags_off));
    }

    let drained = IntGauge::new(
        "lb_edge_drained",
        "Whether the operator has drained the edge.",
    )?;
    drained.set(flag(status.drained));
    keep(registry, &drained)?;

    if let Some(announce) = &status.announce {
        let announced = gauges(
            registry,
            "lb_vip_announced",
            "Whether the speaker is known to announce the VIP for this edge.",
            &["vip"],
        )?;
        for vip in &announce.vips {
            announced
                .get_metric_with_label_values(&[vip.vip.to_string()])?
                .set(flag(vip.announced));
        }
    }

    let build = gauges(
        registry,
        "lb_build_info",
        "The daemon's version and its ABI; always 1.",
        &["version", "abi"],
    )?;
    build
        .get_metric_with_label_values(&[&status.version, &status.abi_version.to_string()])?
        .set(1);
    Ok(())
}

fn services(registry: &Registry, services: &[ServiceView]) -> prometheus::Result<()> {
    let by = &["service"];
    let packets = counters(
        registry,
        "lb_service_packets_total",
        "Packets sent to the service's backends.",
        by,
    )?;
    let slots = gauges(
        registry,
        "lb_service_slots",
        "Slots of the service's table.",
        by,
    )?;
    let generation = gauges(
        registry,
        "lb_service_generation",
        "Generation of the service's table.",
        by,
    )?;
    let fails_open = gauges(
        registry,
        "lb_service_fails_open",
        "Whether no backend is usable, so that all get packets nevertheless.",
        by,
    )?;
    for service in services {
        let labels = [service.name.as_str()];
        packets
            .get_metric_with_label_values(&labels)?
            .inc_by(service.packets);
        slots
            .get_metric_with_label_values(&labels)?
            .set(number(service.slots as u64));
        generation
            .get_metric_with_label_values(&labels)?
            .set(number(service.generation));
        fails_open
            .get_metric_with_label_values(&labels)?
            .set(flag(service.fails_open));
    }
    Ok(())
}

fn backends(registry: &Registry, backends: &[BackendView]) -> prometheus::Result<()> {
    let by = &["service", "backend"];
    let packets = counters(
        registry,
        "lb_backend_packets_total",
        "Packets sent to the backend.",
        by,
    )?;
    let bytes = counters(
        registry,
        "lb_backend_bytes_total",
        "Bytes of inner IP packets sent to the backend.",
        by,
    )?;
    let up = gauges(
        registry,
        "lb_backend_up",
        "Whether the backend's health checks pass, or there are none.",
        by,
    )?;
    let weight = gauges(registry, "lb_backend_weight", "Weight of the backend.", by)?;
    let slots = gauges(
        registry,
        "lb_backend_slots",
        "Slots that the backend owns.",
        by,
    )?;
    let state = gauges(
        registry,
        "lb_backend_state",
        "Whether the backend is in this state.",
        &["service", "backend", "state"],
    )?;
    for backend in backends {
        let address = backend.address.to_string();
        let labels = [backend.service.as_str(), &address];
        packets
            .get_metric_with_label_values(&labels)?
            .inc_by(backend.packets);
        bytes
            .get_metric_with_label_values(&labels)?
            .inc_by(backend.bytes);
        up.get_metric_with_label_values(&labels)?
            .set(flag(backend.is_up()));
        weight
            .get_metric_with_label_values(&labels)?
            .set(backend.weight.into());
        slots
            .get_metric_with_label_values(&labels)?
            .set(number(backend.slots as u64));
        for each in [
            BackendState::Active,
            BackendState::Draining,
            BackendState::Down,
        ] {
            let gauge =
                state.get_metric_with_label_values(&[labels[0], labels[1], &each.to_string()])?;
            gauge.set(flag(backend.state == each));
        }
    }
    Ok(())
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    let family = IntCounterVec::new(Opts::new(name, help), labels)?;
    keep(registry, &family)?;
    Ok(family)
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntGaugeVec> {
    let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
    keep(registry, &family)?;
    Ok(family)
}

fn keep(
    registry: &Registry,
    family: &(impl Collector + Clone + 'static),
) -> prometheus::Result<()> {
    registry.register(Box::new(family.clone()))
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn flag(set: bool) -> i64 {
    set.into()
}
