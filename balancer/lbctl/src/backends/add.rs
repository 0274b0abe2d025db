//! `lbctl backends add`.

use std::net::IpAddr;

use balancer_core::model::{BackendSpec, ServiceName, Weight};
use clap::Args;

use super::{summary, weight::weight};
use crate::{Context, cli::address, failure::Failure};

/// Add a backend, or take a draining one back
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl backends add web 10.1.0.10
  lbctl backends add web 2001:db8:1::10 --weight 2
  lbctl --dry-run backends add web 10.1.0.13")]
pub(super) struct Add {
    /// The service
    service: ServiceName,
    /// The backend's address
    #[arg(value_parser = address)]
    address: IpAddr,
    /// Its share of the slots, relative to the other backends: 0 to 1000
    #[arg(long, default_value_t, value_parser = weight)]
    weight: Weight,
}

impl Add {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Self {
            service,
            address,
            weight,
        } = self;
        let backend = BackendSpec { address, weight };
        let reply = context
            .client
            .add_backend(&service, &backend, context.change_options())
            .await?;
        context.tell(
            &reply,
            &summary(&service, address, "added", "would be added"),
        )
    }
}
