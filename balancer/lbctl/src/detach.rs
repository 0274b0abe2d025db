//! `lbctl detach`.

use balancer_api::{replies::ChangeReply, views::StatusView};
use clap::Args;

use super::{Context, failure::Failure};

/// Take the XDP program off the interface: this edge then balances nothing
///
/// Stopping lbd does not do that; traffic goes on without it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl --dry-run detach
  lbctl detach")]
pub(super) struct Detach {}

impl Detach {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        // What there is to detach is gone afterwards, so look first.
        let before = context
            .client
            .status()
            .await?
            .items
            .into_iter()
            .next()
            .unwrap_or_default();
        let reply = context.client.detach(context.change_options()).await?;
        context.show(&reply, |reply| text(&before, reply))
    }
}

fn text(before: &StatusView, reply: &ChangeReply) -> String {
    let StatusView {
        interface,
        xdp_mode,
        program_id,
        ..
    } = before;
    if !reply.outcome.changed {
        return format!("{interface}: no XDP program is attached, nothing to change\n");
    }
    if reply.dry_run {
        return format!(
            "{interface}: the {xdp_mode} program {program_id} would be detached, and this edge would balance nothing; \
             nothing was changed\n"
        );
    }
    format!(
        "{interface}: the {xdp_mode} program {program_id} is detached, this edge balances nothing; \
         `systemctl restart lbd` attaches it again\n"
    )
}
