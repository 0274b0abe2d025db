//! `lbctl services`.

mod add;
mod list;
mod remove;

use clap::{Args, Subcommand};

use super::{Context, failure::Failure};

/// List, add and remove services: a VIP, a port and a protocol
#[derive(Debug, Args)]
#[command(
    alias = "service",
    after_help = "\
Examples:
  lbctl services list
  lbctl services add web --vip 198.51.100.10 --port 8000"
)]
pub(super) struct Services {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    Add(add::Add),
    Remove(remove::Remove),
}

impl Services {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self.verb {
            Verb::List(list) => list.run(context).await,
            Verb::Add(add) => add.run(context).await,
            Verb::Remove(remove) => remove.run(context).await,
        }
    }
}
