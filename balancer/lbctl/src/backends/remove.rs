//! `lbctl backends remove`.

use std::{net::IpAddr, time::Duration};

use balancer_api::{
    client::{ChangeOptions, Client, ClientError},
    replies::ErrorCode,
};
use balancer_core::model::ServiceName;
use clap::Args;
use tokio::time::{Instant, sleep, timeout_at};

use super::summary;
use crate::{
    Context,
    cli::{Format, address},
    failure::Failure,
};

/// How often a wait looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Remove a backend once its drain ended, or at once with --now
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl backends remove web 10.1.0.10 --wait 60
  lbctl backends remove web 10.1.0.10 --now")]
pub(super) struct Remove {
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

impl Remove {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Self {
            service,
            address,
            now,
            force,
            wait,
        } = self;
        let options = ChangeOptions {
            now,
            force,
            ..context.change_options()
        };
        let reply = context
            .client
            .remove_backend(&service, address, options)
            .await?;
        let summary = if now {
            summary(&service, address, "removed", "would be removed")
        } else {
            summary(
                &service,
                address,
                "drains and is then removed",
                "would drain and then be removed",
            )
        };
        context.tell(&reply, &summary)?;
        let Some(seconds) = wait.filter(|_| !context.dry_run) else {
            return Ok(());
        };
        context.out.flush()?;
        wait_until_gone(&context.client, &service, address, seconds).await?;
        if context.format == Format::Table {
            writeln!(context.out, "{service}: backend {address} is gone")?;
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
