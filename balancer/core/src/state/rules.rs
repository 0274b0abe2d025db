//! What a set of services must fulfil, whoever declares it: a file, the API, or the fleet.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::ids::Ids;
use crate::model::{Backend, Check, CheckKind, Service, ServiceKey, ServiceName};

/// A rule that a service breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which of the services, counted from 0 in the order in which they were given.
    pub service: usize,
    /// Its name.
    pub name: ServiceName,
    /// What of it.
    pub field: Field,
    /// What sort of rule.
    pub kind: Kind,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub expected: String,
}

impl Violation {
    fn invalid(index: usize, service: &Service, (field, problem, expected): Broken) -> Self {
        Self {
            service: index,
            name: service.name.clone(),
            field,
            kind: Kind::Invalid,
            problem,
            expected: expected.to_owned(),
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

/// The part of a service that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The service itself.
    Service,
    /// A key of its section in a file, such as `vip` or `check.rise`.
    Key(&'static str),
    /// The backend with this address.
    Backend(IpAddr),
}

impl Field {
    /// How people call it; empty for the service itself.
    pub fn key(&self) -> String {
        match self {
            Self::Service => String::new(),
            Self::Key(key) => (*key).to_owned(),
            Self::Backend(address) => format!("backend {address}"),
        }
    }
}

/// Checks a whole set of services and returns the first rule that one breaks.
pub fn check<'a>(services: impl IntoIterator<Item = &'a Service>) -> Result<(), Violation> {
    check_beside(Totals::default(), services.into_iter().collect())
}

/// Checks services that were edited beside others that are as they were, and fulfil the rules among themselves; returns the
/// first rule that is broken. What was edited comes last, so that a broken rule is told of it and not of what it clashes with.
///
/// `moved`: whether one of them is new or has another key. Otherwise nobody else's backend can be at its VIP, and others are not
/// looked through for one.
pub(super) fn check_edited<'a>(
    unchanged: impl Iterator<Item = &'a Service>,
    edited: impl Iterator<Item = &'a Service>,
    moved: bool,
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
            || moved && has_backend_at_vip();
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
struct Totals {
    services: usize,
    backends: usize,
}

impl Totals {
    fn add(&mut self, service: &Service) {
        self.services += 1;
        self.backends += service.backends.len();
    }
}

/// Checks services beside so many others that clash with none of them.
fn check_beside(others: Totals, services: Vec<&Service>) -> Result<(), Violation> {
    let mut names = BTreeSet::new();
    let mut keys = BTreeMap::new();
    let mut backends = others.backends;
    let vips: BTreeMap<IpAddr, &ServiceName> = services
        .iter()
        .map(|service| (service.key.vip, &service.name))
        .collect();

    for (index, &service) in services.iter().enumerate() {
        let broken = |kind, field, problem, expected: &str| {
            let (name, expected) = (service.name.clone(), expected.to_owned());
            Violation {
                service: index,
                name,
                field,
                kind,
                problem,
                expected,
            }
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

/// What is broken, how, and what would be right.
type Broken = (Field, String, &'static str);

/// The rules that need no other service.
fn check_alone(service: &Service) -> Result<(), Broken> {
    let key = service.key;
    if let Some(problem) = no_host(key.vip) {
        return Err((Field::Key("vip"), problem, VIP));
    }
    if key.port == 0 {
        return Err((Field::Key("port"), "it is 0".into(), "1 to 65535"));
    }
    if let Some(check) = &service.check {
        check_check(check)?;
    }
    for (&address, backend) in &service.backends {
        check_backend(service, address, backend)
            .map_err(|(problem, expected)| (Field::Backend(address), problem, expected))?;
    }
    Ok(())
}

fn check_check(check: &Check) -> Result<(), Broken> {
    let broken = |key, problem, expected| Err((Field::Key(key), problem, expected));
    if let CheckKind::Http { path } = &check.kind
        && !(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        let expected = "a path that begins with `/`, without spaces or control characters";
        return broken("check.path", format!("{path:?}"), expected);
    }
    if check.port == 0 {
        return broken("check.port", "it is 0".into(), "1 to 65535");
    }
    if check.interval_ms == 0 {
        return broken("check.interval_ms", "it is 0".into(), "at least 1 ms");
    }
    if check.timeout_ms == 0 || check.timeout_ms > check.interval_ms {
        let problem = format!(
            "{} ms with an interval of {} ms",
            check.timeout_ms, check.interval_ms
        );
        return broken("check.timeout_ms", problem, "1 ms up to the interval");
    }
    if check.rise == 0 {
        return broken("check.rise", "it is 0".into(), "1 to 255");
    }
    if check.fall == 0 {
        return broken("check.fall", "it is 0".into(), "1 to 255");
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
