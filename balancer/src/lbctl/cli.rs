//! The command line as a whole.

use std::{net::IpAddr, path::PathBuf};

use clap::{Parser, Subcommand, ValueEnum};

use super::{
    apply::Apply,
    backends::Backends,
    detach::Detach,
    edge::Edge,
    paper::{Completions, Man},
    services::Services,
    status::Status,
    workload::Workload,
};
use crate::api::{DEFAULT_SOCKET, endpoint::Endpoint};

/// The heading of the options that every command has.
const EVERYWHERE: &str = "Options of every command";

/// Operate this edge's load balancer: services, their backends, and how it is doing.
#[derive(Debug, Parser)]
#[command(
    name = "lbctl",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  lbctl status
  lbctl services add web --vip 198.51.100.10 --port 8000 --check http
  lbctl backends add web 10.1.0.10
  lbctl --dry-run backends remove web 10.1.0.10

Exit codes:
  0 ok, 1 error, 2 usage, 3 daemon unreachable, 4 not found, 5 conflict,
  6 refused by a safety rule, 7 partly done, 8 timed out waiting"
)]
pub(super) struct Cli {
    /// Where lbd listens: a unix socket's path, unix:/path or http://host:port
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "LBCTL_SOCKET", value_name = "WHERE", default_value = DEFAULT_SOCKET)]
    pub(super) socket: Endpoint,

    /// The file with the token that lbd asks for over TCP
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "LBCTL_TOKEN_FILE", value_name = "PATH")]
    pub(super) token_file: Option<PathBuf>,

    /// How to print what comes back
    #[arg(short, long, global = true, help_heading = EVERYWHERE, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub(super) output: Format,

    /// Change nothing; say what share of the slots would move, and the minimum possible
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(super) dry_run: bool,

    #[command(subcommand)]
    pub(super) noun: Noun,
}

/// How replies are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    // Ordinary comments keep the help short: aligned columns and sentences, for people.
    Table,
    // The daemon's reply, for programs.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Noun {
    Status(Status),
    Services(Services),
    Backends(Backends),
    Apply(Apply),
    Edge(Edge),
    Detach(Detach),
    Workload(Workload),
    Completions(Completions),
    Man(Man),
}

/// Reads an address; IPv6 may stand in brackets.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse()
        .map_err(|_| "write an address like 10.1.0.10 or 2001:db8::10".to_owned())
}
