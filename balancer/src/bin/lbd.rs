//! The daemon: `lbd edge` on an edge, `lbd agent` on a host of backends.

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use balancer::{
    daemon::{Failure, agent, edge, guard},
    runtime,
};
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Balancer's daemon.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Balance packets for VIPs on an interface of this host.
    ///
    /// Example: lbd edge --config /etc/balancer/edge.toml
    Edge {
        /// The configuration file.
        #[arg(long, short, default_value = "/etc/balancer/edge.toml")]
        config: PathBuf,
    },
    /// Take packets out of their encapsulation in the network namespaces of this host's instances.
    ///
    /// Example: lbd agent --config /etc/balancer/agent.toml
    Agent {
        /// The configuration file.
        #[arg(long, short, default_value = "/etc/balancer/agent.toml")]
        config: PathBuf,
    },
    /// Withdraw the VIPs of an edge whose daemon stays dead; runs beside `lbd edge`.
    ///
    /// Example: lbd guard --config /etc/balancer/edge.toml
    Guard {
        /// The configuration file of `lbd edge`.
        #[arg(long, short, default_value = "/etc/balancer/edge.toml")]
        config: PathBuf,
    },
    /// Take the programs that a stopped daemon left off their interfaces, and remove their pins.
    ///
    /// Example: lbd detach edge --config /etc/balancer/edge.toml
    Detach {
        /// Whose programs.
        #[arg(value_enum)]
        role: DetachRole,
        /// That daemon's configuration file.
        #[arg(long, short)]
        config: PathBuf,
    },
    /// Run a container of the built-in runtime, which starts this itself.
    #[command(hide = true)]
    Supervise {
        /// The container's directory.
        directory: PathBuf,
    },
}

#[derive(Clone, clap::ValueEnum)]
enum DetachRole {
    /// What `lbd edge` left.
    Edge,
    /// What `lbd agent` left.
    Agent,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Role::Supervise { directory } = &cli.role {
        return match runtime::supervise(directory) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let filter = EnvFilter::try_from_env("LBD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    match run(cli.role).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("lbd: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(role: Role) -> Result<(), Failure> {
    let detached = match role {
        Role::Edge { config } => return edge::run(&config).await,
        Role::Guard { config } => return guard::run(&config).await,
        Role::Agent { config } => return agent::run(&config).await,
        Role::Detach {
            role: DetachRole::Edge,
            config,
        } => edge::detach(&config).await?,
        Role::Detach {
            role: DetachRole::Agent,
            config,
        } => agent::detach(&config)?,
        Role::Supervise { .. } => return Ok(()),
    };
    println!(
        "{}",
        if detached {
            "detached"
        } else {
            "nothing was attached"
        }
    );
    Ok(())
}
