//! The services that a file declares.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::IpAddr,
};

use balancer_core::{
    model::{
        AdminState, Backend, Encapsulation, HashPolicy, Protocol, Service, ServiceKey, ServiceName,
        Weight,
    },
    state::rules::{self, Field},
};

use super::{
    ConfigError,
    check::check,
    section::{Section, Source, Value},
};

/// Milliseconds that a draining backend stays, unless the file says otherwise.
const DRAIN_TIMEOUT_MS: u32 = 30_000;

const ADDRESS: &str = "an IP address in quotes";

/// Reads a file of services alone: `version = 1` and `[[service]]`.
///
/// # Errors
///
/// When the text is no such file, or the services break a rule. A file without the key `service` is an
/// error, so that an empty file does not read as "remove everything"; `service = []` says that.
pub fn parse_services(text: &str, file: &str) -> Result<Vec<Service>, ConfigError> {
    let source = Source { text, file };
    let table = source.parse()?;
    let section = Section::file(source, &table, &["version", "service"])?;
    let declared = section.required("service", "[[service]] tables, or `service = []` for none")?;
    services(&declared)
}

/// Reads and checks the value of the key `service`.
pub(super) fn services(value: &Value<'_>) -> Result<Vec<Service>, ConfigError> {
    let values = value.array("[[service]] tables")?;
    let declared: Vec<Declared<'_>> = values
        .iter()
        .map(Declared::read)
        .collect::<Result<_, _>>()?;
    rules::check(declared.iter().map(|declared| &declared.service)).map_err(|violation| {
        let at = &declared[violation.service];
        let (problem, expected) = (violation.problem, violation.expected.as_str());
        match violation.field {
            Field::Service => at.section.error("", problem, expected),
            Field::Key(key) => at.section.error(key, problem, expected),
            Field::Backend(address) => at.backends[&address].error(problem, expected),
        }
    })?;
    Ok(declared
        .into_iter()
        .map(|declared| declared.service)
        .collect())
}

/// A service and where its parts are in the file.
struct Declared<'a> {
    service: Service,
    section: Section<'a>,
    backends: BTreeMap<IpAddr, Value<'a>>,
}

impl<'a> Declared<'a> {
    fn read(value: &Value<'a>) -> Result<Declared<'a>, ConfigError> {
        const KEYS: [&str; 9] = [
            "name",
            "vip",
            "port",
            "protocol",
            "encapsulation",
            "hash",
            "drain_timeout_ms",
            "check",
            "backend",
        ];
        let section = value.section(&KEYS, "a table such as [[service]]")?;
        let name = "1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends";
        let name: ServiceName = section.required("name", name)?.parse(name)?;
        let key = ServiceKey {
            vip: section.required("vip", ADDRESS)?.parse(ADDRESS)?,
            port: section
                .required("port", "1 to 65535")?
                .integer("1 to 65535")?,
            protocol: match section.get("protocol") {
                Some(value) => value.word(&[("tcp", Protocol::Tcp), ("udp", Protocol::Udp)])?,
                None => Protocol::Tcp,
            },
        };
        let encapsulation = match section.get("encapsulation") {
            Some(value) => value.word(&[
                ("gue", Encapsulation::Gue),
                ("ipip", Encapsulation::Ipip),
                ("ip6ip6", Encapsulation::Ip6ip6),
                ("ip4in6", Encapsulation::Ip4in6),
            ])?,
            None => Encapsulation::default(),
        };
        let hash = match section.get("hash") {
            Some(value) => {
                value.word(&[("flow", HashPolicy::Flow), ("source", HashPolicy::Source)])?
            }
            None => HashPolicy::default(),
        };
        let drain_timeout_ms = match section.get("drain_timeout_ms") {
            Some(value) => value.integer("a number of milliseconds")?,
            None => DRAIN_TIMEOUT_MS,
        };
        let check = section
            .get("check")
            .map(|value| check(&value, key.port))
            .transpose()?;
        let (backends, places) = match section.get("backend") {
            Some(value) => read_backends(&value)?,
            None => Default::default(),
        };
        let service = Service {
            name,
            key,
            encapsulation,
            hash,
            check,
            drain_timeout_ms,
            backends,
        };
        Ok(Declared {
            service,
            section,
            backends: places,
        })
    }
}

/// Backends by address, and where their addresses are in the file.
type Backends<'a> = (BTreeMap<IpAddr, Backend>, BTreeMap<IpAddr, Value<'a>>);

fn read_backends<'a>(value: &Value<'a>) -> Result<Backends<'a>, ConfigError> {
    let (mut backends, mut places) = Backends::default();
    for value in value.array("[[service.backend]] tables")? {
        let section = value.section(
            &["address", "weight"],
            "a table such as [[service.backend]]",
        )?;
        let place = section.required("address", ADDRESS)?;
        let address: IpAddr = place.parse(ADDRESS)?;
        let weight = match section.get("weight") {
            Some(value) => {
                let weight: u16 = value.integer("0 to 1000")?;
                Weight::try_from(weight).map_err(|problem| value.error(problem, "0 to 1000"))?
            }
            None => Weight::default(),
        };
        match backends.entry(address) {
            Entry::Vacant(entry) => {
                entry.insert(Backend {
                    address,
                    weight,
                    admin: AdminState::Active,
                });
            }
            Entry::Occupied(_) => {
                let problem = format!("{address} is a backend of this service already");
                return Err(place.error(problem, "each backend once"));
            }
        }
        places.insert(address, place);
    }
    Ok((backends, places))
}
