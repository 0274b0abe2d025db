//! The services of a case: names, addresses, and the TOML that declares them.

use std::fmt::Write;
use std::net::Ipv4Addr;

/// Where the hosts' prefix begins: the namespace of the hosts owns every address in it.
const BACKENDS: u32 = u32::from_be_bytes([10, 16, 0, 1]);

/// Where the VIPs begin.
const VIPS: u32 = u32::from_be_bytes([198, 18, 0, 1]);

/// The prefix that all backends are in.
pub(crate) const PREFIX: &str = "10.16.0.0/12";

/// The port of every service that has not one of its own.
pub(crate) const PORT: u16 = 80;

/// The first of the ports of services that have their own.
const OWN_PORTS: u16 = 10_000;

/// A TCP check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    pub(crate) interval_ms: u32,
    pub(crate) timeout_ms: u32,
    pub(crate) fall: u32,
    pub(crate) rise: u32,
}

/// How many services and backends there are, and what they have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Services {
    /// How many; each has a VIP of its own.
    pub(crate) count: usize,
    /// Of each service; the last ones have fewer if `most_backends` says so.
    pub(crate) backends_each: usize,
    /// Of all services.
    pub(crate) most_backends: usize,
    /// Every service has the same backends, which are hosts.
    pub(crate) shared: bool,
    /// Each service has a port of its own, and so its checks are no other's.
    pub(crate) own_ports: bool,
    pub(crate) check: Option<Check>,
}

impl Services {
    /// Services with backends of their own and without checks, as many as an edge takes.
    pub(crate) fn new(count: usize, backends_each: usize) -> Services {
        Services {
            count,
            backends_each,
            most_backends: 32_767,
            shared: false,
            own_ports: false,
            check: None,
        }
    }

    /// Of all services.
    pub(crate) fn backends(&self) -> usize {
        (self.count * self.backends_each).min(self.most_backends)
    }

    /// Of the service of this index.
    pub(crate) fn backends_of(&self, service: usize) -> usize {
        let before = service * self.backends_each;
        (self.most_backends.saturating_sub(before)).min(self.backends_each)
    }

    pub(crate) fn name(&self, service: usize) -> String {
        format!("s{service}")
    }

    pub(crate) fn vip(&self, service: usize) -> Ipv4Addr {
        Ipv4Addr::from(VIPS + service as u32)
    }

    pub(crate) fn port(&self, service: usize) -> u16 {
        match self.own_ports {
            true => OWN_PORTS + service as u16,
            false => PORT,
        }
    }

    /// Every port that a host has to listen on.
    pub(crate) fn ports(&self) -> Vec<u16> {
        match self.own_ports {
            true => (0..self.count).map(|service| self.port(service)).collect(),
            false => vec![PORT],
        }
    }

    /// The address of a backend of a service.
    pub(crate) fn backend(&self, service: usize, backend: usize) -> Ipv4Addr {
        let before = match self.shared {
            true => 0,
            false => service * self.backends_each,
        };
        Ipv4Addr::from(BACKENDS + (before + backend) as u32)
    }

    /// `[[service]]` tables.
    pub(crate) fn toml(&self) -> String {
        let mut text = String::new();
        for service in 0..self.count {
            let _ = write!(
                text,
                "[[service]]\nname = \"{}\"\nvip = \"{}\"\nport = {}\n",
                self.name(service),
                self.vip(service),
                self.port(service)
            );
            if let Some(check) = &self.check {
                let Check {
                    interval_ms,
                    timeout_ms,
                    fall,
                    rise,
                } = check;
                let _ = writeln!(
                    text,
                    "check = {{ type = \"tcp\", interval_ms = {interval_ms}, timeout_ms = {timeout_ms}, \
                     fall = {fall}, rise = {rise} }}"
                );
            }
            text.push_str("backend = [");
            for backend in 0..self.backends_of(service) {
                let _ = write!(
                    text,
                    "{{ address = \"{}\" }}, ",
                    self.backend(service, backend)
                );
            }
            text.push_str("]\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_service_has_what_is_left_of_the_limit() {
        let services = Services::new(4_096, 8);
        assert_eq!(services.backends(), 32_767);
        assert_eq!(services.backends_of(0), 8);
        assert_eq!(services.backends_of(4_095), 7);
        let all: usize = (0..4_096)
            .map(|service| services.backends_of(service))
            .sum();
        assert_eq!(all, 32_767);
    }

    #[test]
    fn backends_are_of_one_service_unless_they_are_shared() {
        let own = Services::new(3, 2);
        assert_ne!(own.backend(0, 1), own.backend(1, 1));
        let shared = Services {
            shared: true,
            ..own
        };
        assert_eq!(shared.backend(0, 1), shared.backend(2, 1));
    }

    #[test]
    fn what_is_declared_is_what_the_daemon_reads() {
        let check = Check {
            interval_ms: 1_000,
            timeout_ms: 500,
            fall: 3,
            rise: 2,
        };
        let services = Services {
            shared: true,
            own_ports: true,
            check: Some(check),
            ..Services::new(3, 4)
        };
        let text = format!("version = 1\ninterface = \"eth0\"\n{}", services.toml());
        let config = balancer_config::EdgeConfig::parse(&text, "edge.toml");
        assert!(
            config.is_ok(),
            "{:?}",
            config.err().map(|error| error.to_string())
        );
    }
}
