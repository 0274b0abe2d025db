//! `lbctl edge`.

mod drain;
mod status;

use clap::{Args, Subcommand};

use super::{Context, failure::Failure};

/// Drain and undrain this edge, and show which VIPs routers are told of
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl edge status
  lbctl edge drain --wait 10")]
pub(super) struct Edge {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Status(status::Status),
    Drain(drain::Drain),
    Undrain(drain::Undrain),
}

impl Edge {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self.verb {
            Verb::Status(status) => status.run(context).await,
            Verb::Drain(drain) => drain.run(context).await,
            Verb::Undrain(undrain) => undrain.run(context).await,
        }
    }
}
