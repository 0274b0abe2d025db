//! `lbctl backends weight`.

use std::net::IpAddr;

use balancer_api::client::ChangeOptions;
use balancer_core::model::{ServiceName, Weight};
use clap::Args;

use super::summary;
use crate::{Context, cli::address, failure::Failure};

/// Give a backend another weight; 0 takes no new flows
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  lbctl backends weight web 10.1.0.10 2")]
pub(super) struct SetWeight {
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

impl SetWeight {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Self {
            service,
            address,
            weight,
            force,
        } = self;
        let options = ChangeOptions {
            force,
            ..context.change_options()
        };
        let reply = context
            .client
            .set_weight(&service, address, weight, options)
            .await?;
        let (done, would) = (
            format!("has weight {}", weight.get()),
            format!("would have weight {}", weight.get()),
        );
        context.tell(&reply, &summary(&service, address, &done, &would))
    }
}

/// Reads a weight.
pub(super) fn weight(text: &str) -> Result<Weight, String> {
    let wrong = || format!("write a weight from 0 to {}", Weight::MAX);
    let weight: u16 = text.parse().map_err(|_| wrong())?;
    Weight::try_from(weight).map_err(|_| wrong())
}
