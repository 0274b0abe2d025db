//! `lbctl edge drain` and `lbctl edge undrain`.

use std::time::Duration;

use balancer_api::client::Client;
use clap::Args;
use tokio::time::{sleep, timeout};

use crate::{Context, change_summary::ChangeSummary, cli::Format, failure::Failure};

/// How often a wait looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Withdraw every VIP of this edge from routers; it balances what still comes
///
/// It stays drained over restarts, until `lbctl edge undrain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl edge drain
  lbctl edge drain --wait 10")]
pub(super) struct Drain {
    /// Come back when the speaker has confirmed; exit code 8 when that takes longer
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u32>,
}

impl Drain {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let reply = context.client.drain_edge(context.change_options()).await?;
        context.tell(
            &reply,
            &ChangeSummary {
                subject: "edge".to_owned(),
                done: "drained, routers are told of no VIP any more".to_owned(),
                would: "would be drained, and routers told of no VIP any more".to_owned(),
            },
        )?;
        let Some(seconds) = self.wait.filter(|_| !context.dry_run) else {
            return Ok(());
        };
        context.out.flush()?;
        let limit = Duration::from_secs(seconds.into());
        timeout(limit, all_withdrawn(&context.client))
            .await
            .unwrap_or(Err(Failure::StillAnnounced { seconds }))?;
        if context.format == Format::Table {
            writeln!(context.out, "edge: every VIP is withdrawn")?;
        }
        Ok(())
    }
}

/// Announce the VIPs of this edge again, as far as it can serve them
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  lbctl edge undrain")]
pub(super) struct Undrain {}

impl Undrain {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let reply = context
            .client
            .undrain_edge(context.change_options())
            .await?;
        context.tell(
            &reply,
            &ChangeSummary {
                subject: "edge".to_owned(),
                done: "undrained, routers are told of the VIPs that it can serve".to_owned(),
                would: "would be undrained, and routers told of the VIPs that it can serve"
                    .to_owned(),
            },
        )
    }
}

async fn all_withdrawn(client: &Client) -> Result<(), Failure> {
    loop {
        let status = client.status().await?;
        let announce = status.items.into_iter().find_map(|status| status.announce);
        // What the speaker was not heard of may still be announced.
        let withdrawn = announce.is_none_or(|announce| {
            announce.error.is_none() && announce.vips.iter().all(|vip| !vip.announced)
        });
        if withdrawn {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
}
