//! The bench of the control side: how long a real `lbd edge` takes to bring its tables after the world.
//!
//! Each case has network namespaces, a pin directory and a state directory of its own. `lbd edge` is configured as an
//! operator would do it, and every moment that is reported is seen from outside of it:
//!
//! - **What packets meet**: the pinned program is run on one frame (`BPF_PROG_TEST_RUN`), and the outer destination of
//!   the frame that it makes is the backend. This does not depend on how the maps are laid out, and the daemon does not
//!   notice it ([`packets`]).
//! - **When a probe was sent**: the kernel's time stamp of its SYN on the hosts' interface ([`probes`]).
//! - **Saves**: what `inotify` sees in the state directory ([`usage`]). The directory is on a disk, not in memory.
//! - **CPU**: `utime` and `stime` of the daemon, in steps of 10 ms.
//!
//! The bench and the daemon share the machine's processors, and the bench's own share is kept small: tables are looked at
//! every 10 ms while a storm lasts, and four times a millisecond only while one change is under way.

mod cases;
mod change;
mod checks;
mod events;
mod http;
mod line;
mod listeners;
mod looks;
mod packets;
mod probes;
mod quantile;
mod restart;
mod scene;
mod services;
mod storm;
mod usage;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use testbed::program;

use cases::{Case, Size};
use line::Line;

/// Measures the control side of `lbd edge`.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench control")]
struct Arguments {
    /// What to measure, by name; everything if nothing is named
    cases: Vec<String>,
    /// One object of JSON a line, in place of the table
    #[arg(long)]
    json: bool,
    /// The `lbd` to measure; the one that was built with the bench if none is named
    #[arg(long, value_name = "PATH")]
    lbd: Option<PathBuf>,
    /// Where state files are written for the time of the bench: a directory on a disk, because `fsync` in memory
    /// costs nothing
    #[arg(long, value_name = "DIRECTORY")]
    disk: Option<PathBuf>,
    /// Numbers that a test can wait for; the figures mean nothing
    #[arg(long, hide = true)]
    small: bool,
    /// Measure in this process, which nobody cleans up after
    #[arg(long, hide = true)]
    unwatched: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.unwatched {
        true => run(&arguments),
        false => watch::run(arguments.disk.as_deref()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("control bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let cases = cases::chosen(&arguments.cases).map_err(anyhow::Error::msg)?;
    let lbd = match &arguments.lbd {
        Some(lbd) => lbd
            .canonicalize()
            .with_context(|| format!("no lbd at {}", lbd.display()))?,
        None => program("lbd")?,
    };
    let size = match arguments.small {
        true => Size::Small,
        false => Size::Full,
    };
    if !arguments.json {
        println!("{}", line::header());
    }
    let mut failed = Vec::new();
    for run in cases::runs(&cases) {
        let names: Vec<&str> = run.iter().map(|case| case.name()).collect();
        let names = names.join(" and ");
        eprintln!("{names} ...");
        match measured(&run, size, &lbd) {
            Ok(lines) => {
                for line in lines {
                    match arguments.json {
                        true => println!("{}", line.json()),
                        false => println!("{}", line.row()),
                    }
                }
            }
            Err(error) => {
                eprintln!("{names}: {error:#}");
                failed.push(names);
            }
        }
    }
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

/// Measures cases that go together, on a thread of their own: a world is bound to its thread, and ends with it.
fn measured(run: &[Case], size: Size, lbd: &std::path::Path) -> Result<Vec<Line>> {
    thread::scope(|scope| {
        let measuring = scope.spawn(|| cases::measure(run, size, lbd));
        match measuring.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
