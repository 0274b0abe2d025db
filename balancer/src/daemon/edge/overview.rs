//! What the keeper shows of itself.

use balancer_common::{Reason, abi, reason::Verdict};

use super::{attachments::Attachment, control::Keeper};
use crate::{
    api::views::{BackendView, ReasonCount, ServiceView, Snapshot, StatusView},
    model::{BackendId, BackendState, Check, CheckKind},
    reconcile,
    state::ServiceState,
    table::Table,
};

impl Keeper {
    /// Everything that the daemon shows, taken now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for service in self.state.services.values() {
            let published = self.published.as_ref();
            let table = published.and_then(|plan| plan.tables.get(&service.id));
            let shares = table.map(Table::shares).unwrap_or_default();
            let backends: Vec<BackendView> = service
                .ids
                .iter()
                .filter_map(|(&address, &id)| {
                    let slots = shares.get(&id).copied().unwrap_or_default();
                    self.backend_view(service, address, id, slots)
                })
                .collect();
            snapshot
                .services
                .push(self.service_view(service, &backends));
            snapshot.backends.extend(backends);
        }
        snapshot.status = self.status_view(&snapshot);
        snapshot
    }

    fn status_view(&self, snapshot: &Snapshot) -> StatusView {
        let reasons = self.plane.reasons().unwrap_or_default();
        StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            abi_version: abi::VERSION,
            generation: self.state.generation,
            interface: self.interfaces(),
            interfaces: self.attachments.iter().map(Attachment::view).collect(),
            xdp_mode: match self.mode() {
                Some(xdp) => xdp.mode.to_string(),
                None => "detached".to_owned(),
            },
            program_id: self.mode().map_or(0, |xdp| xdp.program_id),
            taken_over: self.taken_over,
            uptime_seconds: self.started.elapsed().as_secs(),
            services: snapshot.services.len(),
            backends: snapshot.backends.len(),
            reasons: reasons.into_iter().map(reason_count).collect(),
            warnings: self.warnings(snapshot),
            drained: self.state.drained,
            announce: self.announce_view(),
        }
    }

    fn warnings(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut warnings: Vec<String> = self.faults.values().cloned().collect();
        warnings.extend(self.store.warning().map(str::to_owned));
        if self.detached {
            warnings.push(self.detached_as_asked());
        }
        warnings.extend(self.attachments.iter().flat_map(Attachment::warnings));
        if self.state.drained {
            warnings.push(
                "drained as asked: no VIP is announced until `lbctl edge undrain`".to_owned(),
            );
        }
        if let Some(error) = self.announce_view().and_then(|view| view.error) {
            warnings.push(format!("VIPs are not announced as wanted: {error}"));
        }
        for service in snapshot
            .services
            .iter()
            .filter(|service| service.fails_open)
        {
            warnings.push(format!(
                "{}: no backend is usable, so all of them get packets",
                service.name
            ));
        }
        warnings
    }

    fn service_view(&self, service: &ServiceState, backends: &[BackendView]) -> ServiceView {
        let retired = self
            .retired
            .get(&service.service.name)
            .copied()
            .unwrap_or_default();
        let key = service.service.key;
        ServiceView {
            name: service.service.name.clone(),
            vip: key.vip,
            port: key.port,
            protocol: key.protocol,
            encapsulation: service.service.encapsulation,
            hash: service.service.hash,
            slots: service.table.slots(),
            generation: service.generation,
            backends: backends.len(),
            active: backends
                .iter()
                .filter(|b| b.state == BackendState::Active)
                .count(),
            fails_open: reconcile::fails_open(service, &|id| self.trusted(id), &self.next_hops),
            packets: retired.packets + backends.iter().map(|b| b.packets).sum::<u64>(),
            bytes: retired.bytes + backends.iter().map(|b| b.bytes).sum::<u64>(),
            check: service
                .service
                .check
                .as_ref()
                .map(describe)
                .unwrap_or_default(),
        }
    }

    fn backend_view(
        &self,
        service: &ServiceState,
        address: std::net::IpAddr,
        id: BackendId,
        slots: usize,
    ) -> Option<BackendView> {
        let backend = service.service.backends.get(&address)?;
        let traffic = self.plane.traffic(id).unwrap_or_default();
        Some(BackendView {
            service: service.service.name.clone(),
            address,
            weight: backend.weight.get(),
            state: reconcile::backend_state(service, address, &|id| self.trusted(id)),
            health: match service.service.check {
                Some(_) => self.known(id).to_string(),
                None => "unchecked".to_owned(),
            },
            slots,
            packets: traffic.packets,
            bytes: traffic.bytes,
            next_hop: self.next_hops.get(&address).map(|hop| {
                let mac = hop
                    .destination_mac
                    .map(|byte| format!("{byte:02x}"))
                    .join(":");
                let tags: String = (hop.tags.iter().flatten())
                    .map(|&[_, _, high, low]| {
                        format!(" vlan {}", u16::from_be_bytes([high, low]) & 0xfff)
                    })
                    .collect();
                format!("{mac} dev {}{tags}", self.interface_name(hop.interface))
            }),
            last_check: self.failures.get(&id).cloned(),
        })
    }

    fn interface_name(&self, index: u32) -> String {
        nix::net::if_::if_indextoname(index)
            .ok()
            .and_then(|name| name.into_string().ok())
            .unwrap_or_else(|| index.to_string())
    }
}

pub(in crate::daemon) fn reason_count((reason, traffic): (Reason, abi::Traffic)) -> ReasonCount {
    ReasonCount {
        reason: reason.name().to_owned(),
        verdict: match reason.verdict() {
            Verdict::Pass => "pass",
            Verdict::Drop => "drop",
            Verdict::Answer => "answer",
        }
        .to_owned(),
        packets: traffic.packets,
    }
}

fn describe(check: &Check) -> String {
    let what = match &check.kind {
        CheckKind::Tcp => format!("tcp :{}", check.port),
        CheckKind::Http { path } => format!("http :{}{path}", check.port),
    };
    format!("{what} every {} ms", check.interval_ms)
}
