//! `lbctl backends`.

use std::{net::IpAddr, time::Duration};

use clap::{Args, Subcommand};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Desk,
    cli::{Format, address},
    failure::Failure,
    phrase::Phrase,
    table::{
        Side::{Left, Right},
        bytes, count, table,
    },
};
use crate::{
    api::{
        client::{Client, ClientError, How},
        replies::{ErrorCode, ListReply},
        requests::BackendBody,
        views::BackendView,
    },
    model::{ServiceName, Weight},
};

/// How often a wait looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// List, add, drain, weigh and remove the backends of services
#[derive(Debug, Args)]
#[command(
    alias = "backend",
    after_help = "\
Examples:
  lbctl backends list web
  lbctl backends add web 10.1.0.10"
)]
pub(super) struct Backends {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(List),
    Add(Add),
    Remove(Remove),
    Drain(Drain),
    Weight(SetWeight),
}

/// List the backends of one service, or of all
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl backends list
  lbctl -o json backends list web | jq -r '.items[] | select(.state == \"down\").address'")]
struct List {
    /// Only this service's
    service: Option<ServiceName>,
}

/// Add a backend, or take a draining one back
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl backends add web 10.1.0.10
  lbctl backends add web 2001:db8:1::10 --weight 2
  lbctl --dry-run backends add web 10.1.0.13")]
struct Add {
    /// The service
    service: ServiceName,
    /// The backend's address
    #[arg(value_parser = address)]
    address: IpAddr,
    /// Its share of the slots, relative to the other backends: 0 to 1000
    #[arg(long, default_value = "1", value_parser = weight)]
    weight: Weight,
}

/// Remove a backend once its drain ended, or at once with --now
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl backends remove web 10.1.0.10 --wait 60
  lbctl backends remove web 10.1.0.10 --now")]
struct Remove {
    /// The service
    service: ServiceName,
    /// The backend's address
    #[arg(value_parser = address)]
    address: IpAddr,
    /// At once; established connections to it break
    #[arg(long)]
    now: bool,
    /// Even when it is the last one that takes new flows
    #[arg(long)]
    force: bool,
    /// Come back when it is gone; exit code 8 when that takes longer
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
}

/// Drain a backend: it keeps its flows and takes no new ones
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  lbctl backends drain web 10.1.0.10")]
struct Drain {
    /// The service
    service: ServiceName,
    /// The backend's address
    #[arg(value_parser = address)]
    address: IpAddr,
    /// Even when it is the last one that takes new flows
    #[arg(long)]
    force: bool,
}

/// Give a backend another weight; 0 takes no new flows
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  lbctl backends weight web 10.1.0.10 2")]
struct SetWeight {
    /// The service
    service: ServiceName,
    /// The backend's address
    #[arg(value_parser = address)]
    address: IpAddr,
    /// Its share of the slots, relative to the other backends: 0 to 1000
    #[arg(value_parser = weight)]
    weight: Weight,
    /// Even when it is the last one that takes new flows
    #[arg(long)]
    force: bool,
}

fn weight(text: &str) -> Result<Weight, String> {
    let wrong = || format!("write a weight from 0 to {}", Weight::MAX);
    let weight: u16 = text.parse().map_err(|_| wrong())?;
    Weight::try_from(weight).map_err(|_| wrong())
}

impl Backends {
    pub(super) async fn run(self, desk: &mut Desk<'_>) -> Result<(), Failure> {
        match self.verb {
            Verb::List(List { service }) => {
                let reply = desk.client.backends(service.as_ref()).await?;
                desk.show(&reply, list)
            }
            Verb::Add(Add {
                service,
                address,
                weight,
            }) => {
                let backend = BackendBody { address, weight };
                let reply = desk
                    .client
                    .add_backend(&service, &backend, desk.how())
                    .await?;
                desk.tell(
                    &reply,
                    &phrase(&service, address, "added", "would be added"),
                )
            }
            Verb::Remove(remove) => remove.run(desk).await,
            Verb::Drain(Drain {
                service,
                address,
                force,
            }) => {
                let how = How {
                    force,
                    ..desk.how()
                };
                let reply = desk.client.drain(&service, address, how).await?;
                desk.tell(&reply, &phrase(&service, address, "drains", "would drain"))
            }
            Verb::Weight(SetWeight {
                service,
                address,
                weight,
                force,
            }) => {
                let how = How {
                    force,
                    ..desk.how()
                };
                let reply = desk
                    .client
                    .set_weight(&service, address, weight, how)
                    .await?;
                let weight = weight.get();
                let phrase = phrase(
                    &service,
                    address,
                    &format!("has weight {weight}"),
                    &format!("would have weight {weight}"),
                );
                desk.tell(&reply, &phrase)
            }
        }
    }
}

impl Remove {
    async fn run(self, desk: &mut Desk<'_>) -> Result<(), Failure> {
        let Self {
            service,
            address,
            now,
            force,
            wait,
        } = self;
        let how = How {
            now,
            force,
            ..desk.how()
        };
        let reply = desk.client.remove_backend(&service, address, how).await?;
        let phrase = if now {
            phrase(&service, address, "removed", "would be removed")
        } else {
            phrase(
                &service,
                address,
                "drains and is then removed",
                "would drain and then be removed",
            )
        };
        desk.tell(&reply, &phrase)?;
        let Some(seconds) = wait.filter(|_| !desk.dry_run) else {
            return Ok(());
        };
        desk.out.flush()?;
        wait_until_gone(&desk.client, &service, address, seconds).await?;
        if desk.format == Format::Table {
            writeln!(desk.out, "{service}: backend {address} is gone")?;
        }
        Ok(())
    }
}

async fn wait_until_gone(
    client: &Client,
    service: &ServiceName,
    address: IpAddr,
    seconds: u64,
) -> Result<(), Failure> {
    let gone = async {
        while is_there(client, service, address).await? {
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    let still_there = || Failure::StillThere {
        service: service.clone(),
        address,
        seconds,
    };
    match Instant::now().checked_add(Duration::from_secs(seconds)) {
        Some(deadline) => timeout_at(deadline, gone)
            .await
            .unwrap_or_else(|_| Err(still_there())),
        None => gone.await,
    }
}

async fn is_there(
    client: &Client,
    service: &ServiceName,
    address: IpAddr,
) -> Result<bool, Failure> {
    match client.backends(Some(service)).await {
        Ok(reply) => Ok(reply.items.iter().any(|backend| backend.address == address)),
        // The service went, and its backends with it.
        Err(ClientError::Refused {
            code: ErrorCode::NotFound,
            ..
        }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn phrase(service: &ServiceName, address: IpAddr, done: &str, would: &str) -> Phrase {
    Phrase {
        subject: service.to_string(),
        done: format!("backend {address} {done}"),
        would: format!("backend {address} {would}"),
    }
}

fn list(reply: &ListReply<BackendView>) -> String {
    if reply.items.is_empty() {
        return "no backends; `lbctl backends add` adds one\n".to_owned();
    }
    let columns = [
        ("SERVICE", Left),
        ("BACKEND", Left),
        ("STATE", Left),
        ("HEALTH", Left),
        ("WEIGHT", Right),
        ("SLOTS", Right),
        ("PACKETS", Right),
        ("BYTES", Right),
        ("NEXT HOP", Left),
        ("LAST CHECK", Left),
    ];
    table(columns, reply.items.iter().map(row))
}

fn row(backend: &BackendView) -> [String; 10] {
    [
        backend.service.to_string(),
        backend.address.to_string(),
        backend.state.to_string(),
        backend.health.clone(),
        count(backend.weight.into()),
        count(backend.slots as u64),
        count(backend.packets),
        bytes(backend.bytes),
        backend
            .next_hop
            .clone()
            .unwrap_or_else(|| "none".to_owned()),
        backend.last_check.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}
