//! `lbctl services add`.

use std::net::IpAddr;

use balancer_api::requests::{CheckBody, CheckType, DEFAULT_DRAIN_TIMEOUT_MS, ServiceBody};
use balancer_core::model::{Encapsulation, HashPolicy, Protocol, ServiceKey, ServiceName};
use clap::{Args, ValueEnum};

use crate::{Context, change_summary::ChangeSummary, cli::address, failure::Failure};

/// Add a service; its backends come with `lbctl backends add`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl services add web --vip 198.51.100.10 --port 8000 --check http --check-path /healthz
  lbctl services add dns --vip 2001:db8::53 --port 53 --protocol udp --encapsulation ip6ip6")]
pub(super) struct Add {
    /// What to call it: a-z, 0-9 and '-'
    name: ServiceName,
    /// The anycast address
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    vip: IpAddr,
    /// The destination port
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The protocol above IP
    #[arg(long, value_enum, default_value_t = ProtocolName::Tcp)]
    protocol: ProtocolName,
    /// How packets travel to its backends
    #[arg(long, value_enum, default_value_t = EncapsulationName::Gue)]
    encapsulation: EncapsulationName,
    /// Which of a packet's fields choose its backend
    #[arg(long, value_enum, default_value_t = HashName::Flow)]
    hash: HashName,
    /// How its backends' health is asked for [default: not at all]
    #[arg(long, value_enum)]
    check: Option<CheckName>,
    /// What an http check gets [default: /]
    #[arg(long, value_name = "PATH", requires = "check")]
    check_path: Option<String>,
    /// The TCP port that a check asks [default: the service's]
    #[arg(long, value_name = "PORT", requires = "check", value_parser = clap::value_parser!(u16).range(1..))]
    check_port: Option<u16>,
    /// From one probe to the next, in milliseconds [default: 1000]
    #[arg(long, value_name = "MS", requires = "check")]
    interval_ms: Option<u32>,
    /// How long a probe may take, in milliseconds [default: 500, or the interval if that is shorter]
    #[arg(long, value_name = "MS", requires = "check")]
    timeout_ms: Option<u32>,
    /// Passed probes in a row that make a down backend healthy [default: 2]
    #[arg(long, value_name = "PROBES", requires = "check")]
    rise: Option<u8>,
    /// Failed probes in a row that make a healthy backend down [default: 3]
    #[arg(long, value_name = "PROBES", requires = "check")]
    fall: Option<u8>,
    /// How long a draining backend stays, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = DEFAULT_DRAIN_TIMEOUT_MS)]
    drain_timeout_ms: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProtocolName {
    Tcp,
    Udp,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EncapsulationName {
    /// Generic UDP encapsulation, for backends with an agent
    Gue,
    /// IPv4 in IPv4
    Ipip,
    /// IPv6 in IPv6
    Ip6ip6,
    /// IPv4 in IPv6
    Ip4in6,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum HashName {
    /// Addresses, ports and protocol: each connection by itself
    Flow,
    /// The client's address alone: all its packets go to one backend, fragments too
    Source,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CheckName {
    /// A TCP connection is accepted
    Tcp,
    /// GET answers with a status from 200 to 399
    Http,
}

impl Add {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let body = self.body();
        let key = ServiceKey {
            vip: body.vip,
            port: body.port,
            protocol: body.protocol,
        };
        let reply = context
            .client
            .add_service(&body, context.change_options())
            .await?;
        let summary = ChangeSummary {
            subject: body.name.to_string(),
            done: format!("service {key} added"),
            would: format!("service {key} would be added"),
        };
        context.tell(&reply, &summary)
    }

    fn body(self) -> ServiceBody {
        let check = self.check.map(|name| {
            let check = CheckBody::new(match name {
                CheckName::Tcp => CheckType::Tcp,
                CheckName::Http => CheckType::Http,
            });
            CheckBody {
                path: self.check_path,
                port: self.check_port,
                interval_ms: self.interval_ms.unwrap_or(check.interval_ms),
                timeout_ms: self.timeout_ms.or(check.timeout_ms),
                rise: self.rise.unwrap_or(check.rise),
                fall: self.fall.unwrap_or(check.fall),
                ..check
            }
        });
        ServiceBody {
            name: self.name,
            vip: self.vip,
            port: self.port,
            protocol: match self.protocol {
                ProtocolName::Tcp => Protocol::Tcp,
                ProtocolName::Udp => Protocol::Udp,
            },
            encapsulation: match self.encapsulation {
                EncapsulationName::Gue => Encapsulation::Gue,
                EncapsulationName::Ipip => Encapsulation::Ipip,
                EncapsulationName::Ip6ip6 => Encapsulation::Ip6ip6,
                EncapsulationName::Ip4in6 => Encapsulation::Ip4in6,
            },
            hash: match self.hash {
                HashName::Flow => HashPolicy::Flow,
                HashName::Source => HashPolicy::Source,
            },
            check,
            drain_timeout_ms: self.drain_timeout_ms,
            backends: Vec::new(),
        }
    }
}
