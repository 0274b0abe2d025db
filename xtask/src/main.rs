//! `cargo xtask`: the single door for people. One command a file.

mod bench;
mod cache;
mod clean;
mod count;
mod demo;
mod fuzz;
mod kernels;
mod lint;
mod mutants;
mod narrate;
mod promises;
mod properties;
mod readme;
mod setup;
mod test;
mod upgrade;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set up, show, test and check Balancer.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the build needs: packages, a BPF-capable toolchain, the BPF linker
    Setup,
    /// Show the main job in network namespaces: one edge, three instances, ten curls; or the story: one workload
    /// file, two cities, an anycast address
    Demo {
        /// What to show
        #[arg(value_parser = ["job", "story", "story-builtin"], default_value = "job")]
        show: String,
        /// Leave the main job's topology up and say what to try in it
        #[arg(long)]
        keep: bool,
    },
    /// Measure the packet path: nanoseconds a packet beside the least that a program could take; or the control side:
    /// how long tables take to follow changes, checks and restarts
    // So that the bench itself answers `--help`.
    #[command(disable_help_flag = true)]
    Bench {
        /// What to measure
        #[arg(value_parser = [bench::PACKET_PATH, bench::CONTROL])]
        what: String,
        /// Passed on to the bench: names of cases, `--json`, `--help` for more
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Remove what `demo --keep` left
    Clean,
    /// Run every test and close with the count; `test story` runs those that take minutes, `test --kernels` those
    /// that depend on the kernel, on others than this machine's
    Test {
        /// Boot these kernels under QEMU, or all: the packet rows and live tests run there. `-- NAME` filters
        #[arg(long, value_name = "KERNEL", num_args = 0.., value_parser = kernels::NAMES)]
        kernels: Option<Vec<String>>,
        /// `story`, or what is passed on to `cargo test` (a filter, or `-- --nocapture`)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Test that daemons of now take over, under load, what those of an earlier commit left
    Upgrade {
        /// The earlier commit, whose `lbd` is built first: that of the last release
        from: String,
    },
    /// Compare the kernel's programs with the same decisions in user space: verdict, bytes and reason
    Fuzz {
        /// How many frames: sound, mutated, cut off, random
        #[arg(long)]
        frames: u64,
        /// Where the draws begin; that of the repository without one
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Draw more random cases for the properties among the unit tests than `cargo xtask test` does
    Properties {
        /// How many cases of each property
        #[arg(long)]
        cases: u32,
        /// Where the draws begin; another place each time without one
        #[arg(long)]
        seed: Option<u64>,
        /// Parts of properties' names; all without one
        names: Vec<String>,
    },
    /// Put faults into the packet path, one at a time, in a copy of the sources: a test must catch each
    Mutants {
        /// Names of faults; all without one
        names: Vec<String>,
        /// Leave out the unit tests: the packet tests alone must catch them
        #[arg(long)]
        packets: bool,
    },
    /// Check the rules of the house: imports, aya, unsafe, owners of structs, promises, reasons, links, format
    Lint,
    /// Write docs/promises.md: which tests keep which promise of SPECIFICATION.md
    Promises,
    /// Run the commands that README.md shows
    Readme,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Setup => setup::run(),
        Command::Demo { show, keep } => demo::run(&show, keep),
        Command::Bench { what, arguments } => bench::run(&what, &arguments),
        Command::Clean => clean::run(),
        Command::Test {
            kernels: Some(names),
            arguments,
        } => kernels::run(&names, &arguments),
        Command::Test { arguments, .. } => test::run(&arguments),
        Command::Upgrade { from } => upgrade::run(&from),
        Command::Fuzz { frames, seed } => fuzz::run(frames, seed),
        Command::Properties { cases, seed, names } => properties::run(cases, seed, &names),
        Command::Mutants { names, packets } => mutants::run(&names, packets),
        Command::Lint => lint::run(),
        Command::Promises => promises::run(),
        Command::Readme => readme::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
