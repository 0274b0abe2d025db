//! The services that a file declares.

use std::net::IpAddr;

use balancer_core::{
    model::{
        Broken, Check, CheckType, Field, Http, PORT, Service, ServiceName, ServiceSpec, Weight,
    },
    state::rules,
};
use strum::VariantNames;

use super::{
    ConfigError,
    schema::{Style, one_of, read},
    section::{Section, Source, Value},
};

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
        .into_iter()
        .map(Declared::read)
        .collect::<Result<_, _>>()?;
    rules::check(declared.iter().map(|declared| &declared.service))
        .map_err(|violation| declared[violation.service].place.error(violation.broken))?;
    Ok(declared
        .into_iter()
        .map(|declared| declared.service)
        .collect())
}

/// How files have services.
static STYLE: Style = Style {
    // An array of tables is called by what each of them is.
    renamed: &[("backend", "backends")],
    expected,
};

fn expected(key: &str) -> Option<String> {
    let text = match key {
        "name" => ServiceName::EXPECTED,
        "vip" | "address" => "an IP address in quotes",
        "port" => PORT,
        "drain_timeout_ms" => "a number of milliseconds",
        "service[]" => "a table such as [[service]]",
        "backend" => "[[service.backend]] tables",
        "backend[]" => "a table such as [[service.backend]]",
        "weight" => Weight::EXPECTED,
        "check" => "a table such as { type = \"tcp\" }",
        "type" => return Some(one_of(CheckType::VARIANTS)),
        "path" => Http::EXPECTED,
        "interval_ms" => Check::INTERVAL,
        "timeout_ms" => Check::TIMEOUT,
        "rise" | "fall" => Check::PROBES,
        _ => return None,
    };
    Some(text.to_owned())
}

/// A service and where it is in the file.
struct Declared<'a> {
    service: Service,
    place: Place<'a>,
}

impl<'a> Declared<'a> {
    fn read(value: Value<'a>) -> Result<Declared<'a>, ConfigError> {
        let spec: ServiceSpec = read(&value, &STYLE)?;
        let backends = spec
            .backends
            .iter()
            .map(|backend| backend.address)
            .collect();
        let place = Place { value, backends };
        match spec.resolve() {
            Ok(service) => Ok(Declared { service, place }),
            Err(broken) => Err(place.error(broken)),
        }
    }
}

/// Where the parts of a service are in the file.
struct Place<'a> {
    value: Value<'a>,
    /// In the order of the file.
    backends: Vec<IpAddr>,
}

impl Place<'_> {
    fn error(&self, broken: Broken) -> ConfigError {
        let Broken {
            field,
            problem,
            expected,
        } = broken;
        let key = match field {
            Field::Service => String::new(),
            Field::Key(key) => key.to_owned(),
            // The last, for one that is there twice.
            Field::Backend(address) => {
                let index = self.backends.iter().rposition(|each| *each == address);
                format!("backend[{}].address", index.unwrap_or_default())
            }
        };
        self.value.error_at(&key, problem, expected)
    }
}
