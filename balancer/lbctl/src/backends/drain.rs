//! `lbctl backends drain`.

use std::net::IpAddr;

use balancer_api::client::How;
use balancer_core::model::ServiceName;
use clap::Args;

use super::phrase;
use crate::{Desk, cli::address, failure::Failure};

/// Drain a backend: it keeps its flows and takes no new ones
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  lbctl backends drain web 10.1.0.10")]
pub(super) struct Drain {
    /// The service
    service: ServiceName,
    /// The backend's address
    #[arg(value_parser = address)]
    address: IpAddr,
    /// Even when it is the last one that takes new flows
    #[arg(long)]
    force: bool,
}

impl Drain {
    pub(super) async fn run(self, desk: &mut Desk<'_>) -> Result<(), Failure> {
        let Self {
            service,
            address,
            force,
        } = self;
        let how = How {
            force,
            ..desk.how()
        };
        let reply = desk.client.drain(&service, address, how).await?;
        desk.tell(&reply, &phrase(&service, address, "drains", "would drain"))
    }
}
