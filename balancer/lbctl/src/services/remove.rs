//! `lbctl services remove`.

use balancer_api::client::{ChangeOptions, Client};
use balancer_core::model::ServiceName;
use clap::Args;

use crate::{Context, change_summary::ChangeSummary, failure::Failure};

/// Remove a service once its backends have drained, or at once with --now
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl services remove web
  lbctl services remove web --force --now")]
pub(super) struct Remove {
    /// The service
    name: ServiceName,
    /// At once, without draining its backends
    #[arg(long)]
    now: bool,
    /// Even when it has backends
    #[arg(long)]
    force: bool,
}

impl Remove {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Self { name, now, force } = self;
        // With backends it goes when they have drained; afterwards there may be nothing left to look at.
        let drains = !now && has_backends(&context.client, &name).await?;
        let reply = context
            .client
            .remove_service(
                &name,
                ChangeOptions {
                    now,
                    force,
                    ..context.change_options()
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
        let summary = ChangeSummary {
            subject: name.to_string(),
            done: done.to_owned(),
            would: would.to_owned(),
        };
        context.tell(&reply, &summary)
    }
}

async fn has_backends(client: &Client, name: &ServiceName) -> Result<bool, Failure> {
    let services = client.services().await?.items;
    Ok(services
        .iter()
        .any(|service| service.name == *name && service.backends > 0))
}
