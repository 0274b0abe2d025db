//! `lbctl services add`.

use std::{fmt::Display, net::IpAddr};

use balancer_core::model::{
    Check, CheckSpec, CheckType, Encapsulation, HashPolicy, Http, Protocol, Service, ServiceKey,
    ServiceName, ServiceSpec,
};
use clap::Args;

use crate::{
    Context,
    change_summary::ChangeSummary,
    cli::{address, words},
    failure::Failure,
};

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
    #[arg(long, value_parser = words::<Protocol>(), default_value_t)]
    protocol: Protocol,
    /// How packets travel to its backends
    #[arg(long, value_parser = words::<Encapsulation>(), default_value_t)]
    encapsulation: Encapsulation,
    /// Which of a packet's fields choose its backend
    #[arg(long, value_parser = words::<HashPolicy>(), default_value_t)]
    hash: HashPolicy,
    /// How its backends' health is asked for [default: not at all]
    #[arg(long, value_name = "CHECK", value_parser = words::<CheckType>())]
    check: Option<CheckType>,
    #[arg(long, value_name = "PATH", requires = "check", help = or("What an http check gets", Http::PATH))]
    check_path: Option<String>,
    /// The TCP port that a check asks [default: the service's]
    #[arg(long, value_name = "PORT", requires = "check", value_parser = clap::value_parser!(u16).range(1..))]
    check_port: Option<u16>,
    #[arg(long, value_name = "MS", requires = "check", help = or("From one probe to the next, in milliseconds", Check::INTERVAL_MS))]
    interval_ms: Option<u32>,
    #[arg(long, value_name = "MS", requires = "check", help = or("How long a probe may take, in milliseconds", format_args!("{}, or the interval if that is shorter", Check::TIMEOUT_MS)))]
    timeout_ms: Option<u32>,
    #[arg(long, value_name = "PROBES", requires = "check", help = or("Passed probes in a row that make a down backend healthy", Check::RISE))]
    rise: Option<u8>,
    #[arg(long, value_name = "PROBES", requires = "check", help = or("Failed probes in a row that make a healthy backend down", Check::FALL))]
    fall: Option<u8>,
    /// How long a draining backend stays, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = Service::DRAIN_TIMEOUT_MS)]
    drain_timeout_ms: u32,
}

/// The help of a flag whose default depends on another one: the daemon fills it in.
fn or(help: &str, default: impl Display) -> String {
    format!("{help} [default: {default}]")
}

impl Add {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let spec = self.spec();
        let key = ServiceKey {
            vip: spec.vip,
            port: spec.port,
            protocol: spec.protocol,
        };
        let reply = context
            .client
            .add_service(&spec, context.change_options())
            .await?;
        let summary = ChangeSummary {
            subject: spec.name.to_string(),
            done: format!("service {key} added"),
            would: format!("service {key} would be added"),
        };
        context.tell(&reply, &summary)
    }

    fn spec(self) -> ServiceSpec {
        ServiceSpec {
            name: self.name,
            vip: self.vip,
            port: self.port,
            protocol: self.protocol,
            encapsulation: self.encapsulation,
            hash: self.hash,
            check: self.check.map(|kind| CheckSpec {
                kind,
                path: self.check_path,
                port: self.check_port,
                interval_ms: self.interval_ms,
                timeout_ms: self.timeout_ms,
                rise: self.rise,
                fall: self.fall,
            }),
            drain_timeout_ms: self.drain_timeout_ms,
            backends: Vec::new(),
        }
    }
}
