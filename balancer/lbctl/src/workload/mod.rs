//! `lbctl workload`.

mod apply;
mod context;
mod destroy;
mod files;
mod logs;
mod plan;
mod record;
mod sites;
mod status;

use clap::{Args, Subcommand};

use super::{Context, failure::Failure};

/// Run what a workload file declares, in the cities of a fleet
#[derive(Debug, Args)]
#[command(
    alias = "workloads",
    after_help = "\
Examples:
  lbctl workload plan -f main.tf
  lbctl workload apply -f main.tf --var image=web:2
  lbctl workload status -f main.tf
  lbctl workload logs -f main.tf web-global-sea-0 --tail 20
  lbctl workload destroy -f main.tf

What was applied is kept in balancer.state.json beside the workload file. See docs/workload-file.md."
)]
pub(super) struct Workload {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Plan(plan::Plan),
    Apply(apply::Apply),
    Destroy(destroy::Destroy),
    Status(status::Status),
    Logs(logs::Logs),
}

impl Workload {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self.verb {
            Verb::Plan(plan) => plan.run(context).await,
            Verb::Apply(apply) => apply.run(context).await,
            Verb::Destroy(destroy) => destroy.run(context).await,
            Verb::Status(status) => status.run(context).await,
            Verb::Logs(logs) => logs.run(context).await,
        }
    }
}
