//! What a set of services must fulfil, whoever declares it: a file, the API, or the fleet.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::ids::Ids;
use crate::model::{Backend, Broken, Field, PORT, Service, ServiceKey, ServiceName};

/// A rule that a service breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which of the services, counted from 0 in the order in which they were given.
    pub service: usize,
    /// Its name.
    pub name: ServiceName,
    /// What sort of rule.
    pub kind: Kind,
    /// What of it, why, and what would be right.
    pub broken: Broken,
}

impl Violation {
    fn invalid(index: usize, service: &Service, broken: Broken) -> Self {
        Self {
            service: index,
            name: service.name.clone(),
            kind: Kind::Invalid,
            broken,
        }
    }
}

/// The sort of a broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value is bad.
    Invalid,
    /// Another service has it already.
    Conflict,
}

/// Checks a whole set of services and returns the first rule that one breaks.
pub fn check<'a>(services: impl IntoIterator<Item = &'a Service>) -> Result<(), Violation> {
    check_beside(Totals::default(), services.into_iter().collect())
}

/// Checks services that were edited beside others that are as they were, and fulfil the rules among themselves; returns the
/// first rule that is broken. What was edited comes last, so that a broken rule is told of it and not of what it clashes with.
pub(super) fn check_edited<'a>(
    unchanged: impl Iterator<Item = &'a Service>,
    edited: impl Iterator<Item = &'a Service>,
) -> Result<(), Violation> {
    let edited: Vec<&Service> = edited.collect();
    let keys: BTreeSet<ServiceKey> = edited.iter().map(|service| service.key).collect();
    let vips: BTreeSet<IpAddr> = keys.iter().map(|key| key.vip).collect();
    let addresses: BTreeSet<&IpAddr> = (edited.iter())
        .flat_map(|service| service.backends.keys())
        .collect();
    let mut totals = Totals::default();
    let mut services = Vec::new();
    for service in unchanged {
        let has_backend_at_vip = || {
            let mut backends = service.backends.keys();
            backends.any(|address| vips.contains(address))
        };
        let clashes = keys.contains(&service.key)
            || addresses.contains(&service.key.vip)
            || has_backend_at_vip();
        match clashes {
            true => services.push(service),
            false => totals.add(service),
        }
    }
    services.extend(edited);
    check_beside(totals, services)
}

/// Checks services of which neither keys nor the addresses of backends were edited, so that no other service matters.
pub(super) fn check_values<'a>(
    services: impl Iterator<Item = &'a Service>,
) -> Result<(), Violation> {
    for (index, service) in services.enumerate() {
        check_alone(service).map_err(|broken| Violation::invalid(index, service, broken))?;
    }
    Ok(())
}

/// How many services and backends there are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) services: usize,
    pub(super) backends: usize,
}

impl Totals {
    fn add(&mut self, service: &Service) {
        self.services += 1;
        self.backends += service.backends.len();
    }
}

/// Checks services beside so many others that clash with none of them.
pub(super) fn check_beside(others: Totals, services: Vec<&Service>) -> Result<(), Violation> {
    let mut names = BTreeSet::new();
    let mut keys = BTreeMap::new();
    let mut backends = others.backends;
    let vips: BTreeMap<IpAddr, &ServiceName> = services
        .iter()
        .map(|service| (service.key.vip, &service.name))
        .collect();

    for (index, &service) in services.iter().enumerate() {
        let broken = |kind, field, problem, expected| Violation {
            service: index,
            name: service.name.clone(),
            kind,
            broken: Broken {
                field,
                problem,
                expected,
            },
        };
        check_alone(service).map_err(|broken| Violation::invalid(index, service, broken))?;

        if others.services + index >= Ids::MAX_SERVICES {
            let count = others.services + services.len();
            let problem = format!("it is one of {count} services");
            return Err(broken(
                Kind::Invalid,
                Field::Service,
                problem,
                "at most 4096",
            ));
        }
        if !names.insert(&service.name) {
            let problem = format!("another service is called `{}`", service.name);
            return Err(broken(
                Kind::Conflict,
                Field::Key("name"),
                problem,
                "a name of its own",
            ));
        }
        if let Some(other) = keys.insert(service.key, &service.name) {
            let problem = format!("{} is service `{other}`", service.key);
            let expected = "a VIP, port and protocol that no other service has";
            return Err(broken(Kind::Conflict, Field::Key("vip"), problem, expected));
        }
        for &address in service.backends.keys() {
            backends += 1;
            if backends > Ids::MAX_BACKENDS {
                let problem = format!("it is backend number {backends} of this edge");
                return Err(broken(
                    Kind::Invalid,
                    Field::Backend(address),
                    problem,
                    "at most 32767",
                ));
            }
            if let Some(vip_of) = vips.get(&address) {
                let problem = format!("it is the VIP of service `{vip_of}`");
                let expected = "a backend's own address";
                return Err(broken(
                    Kind::Invalid,
                    Field::Backend(address),
                    problem,
                    expected,
                ));
            }
        }
    }
    Ok(())
}

/// The rules that need no other service.
fn check_alone(service: &Service) -> Result<(), Broken> {
    let key = service.key;
    if let Some(problem) = no_host(key.vip) {
        return Err(Broken::key("vip", problem, VIP));
    }
    if key.port == 0 {
        return Err(Broken::key("port", "it is 0", PORT));
    }
    if let Some(check) = &service.check {
        check.check_bounds()?;
    }
    for (&address, backend) in &service.backends {
        check_backend(service, address, backend)
            .map_err(|(problem, expected)| Broken::backend(address, problem, expected))?;
    }
    Ok(())
}

fn check_backend(
    service: &Service,
    address: IpAddr,
    backend: &Backend,
) -> Result<(), (String, &'static str)> {
    if backend.address != address {
        let problem = format!(
            "it is filed under another address than its own, {}",
            backend.address
        );
        return Err((problem, "the same address twice"));
    }
    if let Some(problem) = no_host(address) {
        return Err((problem, "the address of one host"));
    }
    let vip = service.key.vip;
    if !service.encapsulation.carries(vip, address) {
        let problem = format!(
            "encapsulation {} cannot carry packets for {vip} to it",
            service.encapsulation
        );
        return Err((
            problem,
            "an encapsulation for these address families, such as gue",
        ));
    }
    Ok(())
}

/// What a VIP has to be.
pub const VIP: &str = "an address that routers can lead to this edge";

/// Why an address is not that of one host that others can reach, if it is not.
pub fn no_host(address: IpAddr) -> Option<String> {
    let sort = match address {
        address if address.is_unspecified() => "the unspecified address",
        address if address.is_loopback() => "a loopback address",
        address if address.is_multicast() => "a multicast address",
        IpAddr::V4(address) if address.is_broadcast() => "the broadcast address",
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
            "an IPv4 address written as IPv6"
        }
        _ => return None,
    };
    Some(format!("{address} is {sort}"))
}
