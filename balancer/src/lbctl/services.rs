//! `lbctl services`.

use std::net::IpAddr;

use clap::{Args, Subcommand, ValueEnum};

use super::{
    Desk,
    cli::address,
    failure::Failure,
    phrase::Phrase,
    table::{
        Side::{Left, Right},
        bytes, count, table,
    },
};
use crate::{
    api::{
        client::{Client, How},
        replies::ListReply,
        requests::{CheckBody, CheckType, DEFAULT_DRAIN_TIMEOUT_MS, ServiceBody},
        views::ServiceView,
    },
    model::{Encapsulation, Protocol, ServiceKey, ServiceName},
};

/// List, add and remove services: a VIP, a port and a protocol
#[derive(Debug, Args)]
#[command(
    alias = "service",
    after_help = "\
Examples:
  lbctl services list
  lbctl services add web --vip 198.51.100.10 --port 8000"
)]
pub(super) struct Services {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(List),
    Add(Add),
    Remove(Remove),
}

/// List the services
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl services list
  lbctl -o json services list | jq -r '.items[].name'")]
struct List {}

/// Add a service; its backends come with `lbctl backends add`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl services add web --vip 198.51.100.10 --port 8000 --check http --check-path /healthz
  lbctl services add dns --vip 2001:db8::53 --port 53 --protocol udp --encapsulation ip6ip6")]
struct Add {
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
    /// When a probe has failed, in milliseconds [default: 500]
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

/// Remove a service once its backends have drained, or at once with --now
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl services remove web
  lbctl services remove web --force --now")]
struct Remove {
    /// The service
    name: ServiceName,
    /// At once, without draining its backends
    #[arg(long)]
    now: bool,
    /// Even when it has backends
    #[arg(long)]
    force: bool,
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
enum CheckName {
    /// A TCP connection is accepted
    Tcp,
    /// GET answers with a status from 200 to 399
    Http,
}

impl Services {
    pub(super) async fn run(self, desk: &mut Desk<'_>) -> Result<(), Failure> {
        match self.verb {
            Verb::List(List {}) => {
                let reply = desk.client.services().await?;
                desk.show(&reply, list)
            }
            Verb::Add(add) => {
                let body = add.body();
                let key = ServiceKey {
                    vip: body.vip,
                    port: body.port,
                    protocol: body.protocol,
                };
                let reply = desk.client.add_service(&body, desk.how()).await?;
                let phrase = Phrase {
                    subject: body.name.to_string(),
                    done: format!("service {key} added"),
                    would: format!("service {key} would be added"),
                };
                desk.tell(&reply, &phrase)
            }
            Verb::Remove(remove) => remove.run(desk).await,
        }
    }
}

impl Remove {
    async fn run(self, desk: &mut Desk<'_>) -> Result<(), Failure> {
        let Self { name, now, force } = self;
        // With backends it goes when they have drained; afterwards there may be nothing left to look at.
        let drains = !now && has_backends(&desk.client, &name).await?;
        let reply = desk
            .client
            .remove_service(
                &name,
                How {
                    now,
                    force,
                    ..desk.how()
                },
            )
            .await?;
        let (done, would) = if drains {
            (
                "service drains and is then removed",
                "service would drain and then be removed",
            )
        } else {
            ("service removed", "service would be removed")
        };
        let phrase = Phrase {
            subject: name.to_string(),
            done: done.to_owned(),
            would: would.to_owned(),
        };
        desk.tell(&reply, &phrase)
    }
}

async fn has_backends(client: &Client, name: &ServiceName) -> Result<bool, Failure> {
    let services = client.services().await?.items;
    Ok(services
        .iter()
        .any(|service| service.name == *name && service.backends > 0))
}

impl Add {
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
                timeout_ms: self.timeout_ms.unwrap_or(check.timeout_ms),
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
            check,
            drain_timeout_ms: self.drain_timeout_ms,
            backends: Vec::new(),
        }
    }
}

fn list(reply: &ListReply<ServiceView>) -> String {
    if reply.items.is_empty() {
        return "no services; `lbctl services add` adds one\n".to_owned();
    }
    let columns = [
        ("SERVICE", Left),
        ("PACKETS TO", Left),
        ("ENCAPSULATION", Left),
        ("ACTIVE", Right),
        ("SLOTS", Right),
        ("GENERATION", Right),
        ("PACKETS", Right),
        ("BYTES", Right),
        ("CHECK", Left),
    ];
    let mut text = table(columns, reply.items.iter().map(row));
    for service in reply.items.iter().filter(|service| service.fails_open) {
        text.push_str(&format!(
            "WARNING: {} FAILS OPEN: none of its backends is usable, so all get packets\n",
            service.name
        ));
    }
    text
}

fn row(service: &ServiceView) -> [String; 9] {
    let key = ServiceKey {
        vip: service.vip,
        port: service.port,
        protocol: service.protocol,
    };
    [
        service.name.to_string(),
        key.to_string(),
        service.encapsulation.to_string(),
        format!(
            "{} of {}",
            count(service.active as u64),
            count(service.backends as u64)
        ),
        count(service.slots as u64),
        count(service.generation),
        count(service.packets),
        bytes(service.bytes),
        if service.check.is_empty() {
            "-".to_owned()
        } else {
            service.check.clone()
        },
    ]
}
