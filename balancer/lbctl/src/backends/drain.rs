//! `lbctl backends drain`.

use std::net::IpAddr;

use balancer_api::client::ChangeOptions;
use balancer_core::model::ServiceName;
use clap::Args;

use super::summary;
use crate::{Context, cli::address, failure::Failure};

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
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Self {
            service,
            address,
            force,
        } = self;
        let options = ChangeOptions {
            force,
            ..context.change_options()
        };
        let reply = context.client.drain(&service, address, options).await?;
        context.tell(&reply, &summary(&service, address, "drains", "would drain"))
    }
}
