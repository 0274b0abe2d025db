//! A service as people declare it.

use std::{any::Any, collections::BTreeMap, fmt, net::IpAddr};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

use super::{
    Backend, BackendSpec, Broken, CheckSpec, Encapsulation, HashPolicy, Protocol, Service,
    ServiceKey, ServiceName,
};

/// A service as a file, the API and `lbctl` have it. What is left out takes its default: that of its type, or a constant of
/// [`Service`].
///
/// Where a request's path has the name, and backends come by themselves, both are [left out](DeclarationSpec).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    bound(serialize = "Name: Serialize + 'static, Backends: Serialize + 'static")
)]
pub struct ServiceSpec<Name = ServiceName, Backends = Vec<BackendSpec>> {
    /// Its name.
    #[serde(skip_serializing_if = "LeftOut::is")]
    pub name: Name,
    /// The anycast address.
    pub vip: IpAddr,
    /// The destination port.
    pub port: u16,
    /// The protocol above IP.
    #[serde(default)]
    pub protocol: Protocol,
    /// How packets travel to its backends.
    #[serde(default)]
    pub encapsulation: Encapsulation,
    /// Which of a packet's fields choose its backend.
    #[serde(default)]
    pub hash: HashPolicy,
    /// How its backends' health is asked for; not at all when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckSpec>,
    /// How long a draining backend stays, in milliseconds.
    #[serde(default = "drain_timeout_ms")]
    pub drain_timeout_ms: u32,
    /// Its backends.
    #[serde(default, skip_serializing_if = "LeftOut::is")]
    pub backends: Backends,
}

/// A service without its name and its backends: the body of `PUT /v1/services/NAME`.
pub type DeclarationSpec = ServiceSpec<LeftOut, LeftOut>;

fn drain_timeout_ms() -> u32 {
    Service::DRAIN_TIMEOUT_MS
}

impl ServiceSpec {
    /// The service.
    ///
    /// # Errors
    ///
    /// What its parts alone tell; the state checks the rest.
    pub fn resolve(mut self) -> Result<Service, Broken> {
        let mut backends = BTreeMap::new();
        for backend in std::mem::take(&mut self.backends) {
            let address = backend.address;
            if backends.insert(address, backend.into()).is_some() {
                let problem = format!("{address} is a backend of this service already");
                return Err(Broken::backend(address, problem, "each backend once"));
            }
        }
        let name = self.name.clone();
        self.resolve_with(name, backends)
    }
}

impl ServiceSpec<LeftOut, LeftOut> {
    /// The service of this name, without backends.
    ///
    /// # Errors
    ///
    /// What its parts alone tell; the state checks the rest.
    pub fn resolve(self, name: ServiceName) -> Result<Service, Broken> {
        self.resolve_with(name, BTreeMap::new())
    }
}

impl<Name, Backends> ServiceSpec<Name, Backends> {
    fn resolve_with(
        self,
        name: ServiceName,
        backends: BTreeMap<IpAddr, Backend>,
    ) -> Result<Service, Broken> {
        Ok(Service {
            name,
            key: ServiceKey {
                vip: self.vip,
                port: self.port,
                protocol: self.protocol,
            },
            encapsulation: self.encapsulation,
            hash: self.hash,
            check: (self.check)
                .map(|check| check.resolve(self.port))
                .transpose()?,
            drain_timeout_ms: self.drain_timeout_ms,
            backends,
        })
    }

    fn of(service: &Service, name: Name, backends: Backends) -> Self {
        Self {
            name,
            vip: service.key.vip,
            port: service.key.port,
            protocol: service.key.protocol,
            encapsulation: service.encapsulation,
            hash: service.hash,
            check: service.check.as_ref().map(CheckSpec::from),
            drain_timeout_ms: service.drain_timeout_ms,
            backends,
        }
    }
}

impl From<&Service> for ServiceSpec {
    fn from(service: &Service) -> Self {
        let backends = service.backends.values().map(BackendSpec::from).collect();
        Self::of(service, service.name.clone(), backends)
    }
}

impl From<&Service> for DeclarationSpec {
    fn from(service: &Service) -> Self {
        Self::of(service, LeftOut, LeftOut)
    }
}

/// A field that must not be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut;

impl LeftOut {
    fn is<T: Any>(field: &T) -> bool {
        (field as &dyn Any).is::<Self>()
    }
}

impl Serialize for LeftOut {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}

impl<'de> Deserialize<'de> for LeftOut {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Nothing;

        impl<'de> Visitor<'de> for Nothing {
            type Value = LeftOut;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("nothing")
            }

            fn visit_none<E: Error>(self) -> Result<LeftOut, E> {
                Ok(LeftOut)
            }

            fn visit_some<D: Deserializer<'de>>(self, _: D) -> Result<LeftOut, D::Error> {
                Err(D::Error::custom(
                    "`name` and `backends` are left out here: the path has the name, and each backend is told by itself",
                ))
            }
        }

        // An option, so that a field that is not there reads as `None`.
        deserializer.deserialize_option(Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = r#"{"name":"web","vip":"198.51.100.10","port":8000}"#;

    const WHOLE: &str = r#"{"name":"web","vip":"198.51.100.10","port":8000,"protocol":"udp","encapsulation":"ipip","hash":"source","check":{"type":"tcp","port":8001,"interval_ms":1000,"timeout_ms":500,"rise":2,"fall":3},"drain_timeout_ms":5,"backends":[{"address":"10.1.0.10","weight":3}]}"#;

    fn spec(json: &str) -> ServiceSpec {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_a_service_leaves_out_takes_its_default() {
        let service = spec(LEAST).resolve().unwrap();
        assert_eq!(service.key.to_string(), "198.51.100.10:8000/tcp");
        let ways = (service.encapsulation, service.hash);
        assert_eq!(ways, (Encapsulation::Gue, HashPolicy::Flow));
        assert_eq!((service.check, service.drain_timeout_ms), (None, 30_000));
        assert!(service.backends.is_empty());
        let backend: BackendSpec = serde_json::from_str(r#"{"address":"10.1.0.10"}"#).unwrap();
        assert_eq!(Backend::from(backend).weight.get(), 1);
    }

    #[test]
    fn a_service_is_declared_as_it_was() {
        let service = spec(WHOLE).resolve().unwrap();
        let declared = ServiceSpec::<ServiceName, Vec<_>>::from(&service);
        assert_eq!(serde_json::to_string(&declared).unwrap(), WHOLE);
    }

    #[test]
    fn a_declaration_has_neither_name_nor_backends() {
        let service = spec(WHOLE).resolve().unwrap();
        let json = serde_json::to_string(&DeclarationSpec::from(&service)).unwrap();
        assert!(
            !json.contains("name") && !json.contains("backends"),
            "{json}"
        );
        let declaration: DeclarationSpec = serde_json::from_str(&json).unwrap();
        let declared = declaration.resolve(service.name.clone()).unwrap();
        let backends = BTreeMap::new();
        assert_eq!(
            declared,
            Service {
                backends,
                ..service
            }
        );
        for json in [WHOLE, LEAST] {
            let error = serde_json::from_str::<DeclarationSpec>(json).unwrap_err();
            assert!(error.to_string().contains("are left out here"), "{error}");
        }
    }

    #[test]
    fn a_backend_that_is_named_twice_is_refused() {
        let twice = LEAST.replace(
            '}',
            r#","backends":[{"address":"10.1.0.1"},{"address":"10.1.0.1"}]}"#,
        );
        let broken = spec(&twice).resolve().unwrap_err();
        assert_eq!(
            broken.to_string(),
            "backend 10.1.0.1: 10.1.0.1 is a backend of this service already; expected each backend once"
        );
    }
}
