//! `lbctl backends`.

mod add;
mod drain;
mod list;
mod remove;
mod weight;

use std::net::IpAddr;

use balancer_core::model::ServiceName;
use clap::{Args, Subcommand};

use super::{Context, change_summary::ChangeSummary, failure::Failure};

/// List, add, drain, weigh and remove the backends of services
#[derive(Debug, Args)]
#[command(
    alias = "backend",
    after_help = "\
Examples:
  lbctl backends list web
  lbctl backends add web 10.1.0.10"
)]
pub(super) struct Backends {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    Add(add::Add),
    Remove(remove::Remove),
    Drain(drain::Drain),
    Weight(weight::SetWeight),
}

impl Backends {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self.verb {
            Verb::List(list) => list.run(context).await,
            Verb::Add(add) => add.run(context).await,
            Verb::Remove(remove) => remove.run(context).await,
            Verb::Drain(drain) => drain.run(context).await,
            Verb::Weight(weight) => weight.run(context).await,
        }
    }
}

/// Tells what became of a backend, and what would have.
fn summary(service: &ServiceName, address: IpAddr, done: &str, would: &str) -> ChangeSummary {
    ChangeSummary {
        subject: service.to_string(),
        done: format!("backend {address} {done}"),
        would: format!("backend {address} {would}"),
    }
}
