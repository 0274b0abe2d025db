//! The daemon: `lbd edge` on an edge, `lbd agent` on a host of backends.

#[cfg(target_env = "gnu")]
mod allocator;

use balancer_core::model::City;
use balancer_edge::daemon::{self, agent, edge, guard};
use balancer_site::{daemon as site, runtime};
use clap::{Parser, Subcommand};
use std::{io::IsTerminal, path::PathBuf, process::ExitCode};
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
    /// Run the instances of a city's workloads, and keep its edges told of them.
    ///
    /// Example: lbd site --fleet /etc/balancer/fleet.toml --city SEA
    Site {
        /// The fleet file.
        #[arg(long, default_value = "/etc/balancer/fleet.toml")]
        fleet: PathBuf,
        /// Whose instances.
        #[arg(long)]
        city: City,
        /// Where the workloads are remembered; /var/lib/balancer/site-CITY if left out.
        #[arg(long)]
        state_dir: Option<PathBuf>,
        /// How long a lower load must last before instances go, in seconds.
        #[arg(long, default_value_t = 300)]
        scale_down_window: u32,
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

fn main() -> ExitCode {
    #[cfg(target_env = "gnu")]
    allocator::give_memory_back();
    let cli = Cli::parse();
    // Before anything is opened.
    if let Role::Supervise { directory } = &cli.role {
        return match runtime::supervise(directory) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    serve(cli.role)
}

#[tokio::main]
async fn serve(role: Role) -> ExitCode {
    let filter = EnvFilter::try_from_env("LBD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    match run(role).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("lbd: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Why a daemon did not start.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// On an edge or on a host of instances.
    #[error(transparent)]
    Edge(#[from] daemon::Failure),
    /// At a site.
    #[error(transparent)]
    Site(#[from] site::Failure),
}

impl Failure {
    /// The process's exit code.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Edge(failure) => failure.exit_code(),
            Self::Site(failure) => failure.exit_code(),
        }
    }
}

async fn run(role: Role) -> Result<(), Failure> {
    let detached = match role {
        Role::Edge { config } => return Ok(edge::run(&config).await?),
        Role::Guard { config } => return Ok(guard::run(&config).await?),
        Role::Agent { config } => return Ok(agent::run(&config).await?),
        Role::Site {
            fleet,
            city,
            state_dir,
            scale_down_window,
        } => {
            let default = || format!("/var/lib/balancer/site-{}", city.to_string().to_lowercase());
            let options = site::Options {
                state_dir: state_dir.unwrap_or_else(|| default().into()),
                fleet,
                city,
                scale_down_window_ms: u64::from(scale_down_window) * 1_000,
            };
            return Ok(site::run(&options).await?);
        }
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
