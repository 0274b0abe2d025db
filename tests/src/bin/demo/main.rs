//! The demo: one edge, three instances, ten curls, and what happens to them when things break.
//!
//! The story runs in a process of its own, so that however it ends, by Ctrl-C or a failure too, this
//! one looks at what is left of it.

mod acts;
mod kept;
mod narrate;
mod stage;
mod story;

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use testbed::Traces;

/// Shows Balancer at work in network namespaces of this machine.
#[derive(Parser)]
struct Arguments {
    /// Leave the topology up and say what to try in it
    #[arg(long)]
    keep: bool,
    /// Remove what --keep left
    #[arg(long, conflicts_with = "keep")]
    clean: bool,
    /// Tell the story itself, in this process
    #[arg(long, hide = true)]
    story: bool,
}

/// Where the story leaves its last line, below its temporary directory.
const SUMMARY: &str = "summary";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.clean {
        kept::clean()
    } else if arguments.story {
        story::tell(arguments.keep, &env::temp_dir().join(SUMMARY))
    } else {
        watch(arguments.keep)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let who = if arguments.story { "story" } else { "demo" };
            eprintln!("{who}: failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Has the story told, then makes sure that nothing of it is left.
fn watch(keep: bool) -> Result<()> {
    kept::refuse_second()?;
    let before = Traces::take()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&interrupted);
    ctrlc::set_handler(move || seen.store(true, Ordering::Relaxed))
        .context("cannot listen for Ctrl-C")?;
    // Everything that the story writes outside its own mounts.
    let files = tempfile::Builder::new()
        .prefix("balancer-demo-")
        .tempdir()?;
    let told = have_told(keep, files.path(), &interrupted);
    let summary = fs::read_to_string(files.path().join(SUMMARY)).unwrap_or_default();
    match (told, keep) {
        (Ok(()), true) => {
            kept::record_directory(&files.keep())?;
            println!("demo: {summary}; `cargo xtask clean` removes it");
            Ok(())
        }
        (told, _) => {
            kept::clean()?;
            files.close()?;
            before.nothing_new()?;
            told.context("nothing is left behind")?;
            println!("demo: {summary}; nothing left behind");
            Ok(())
        }
    }
}

fn have_told(keep: bool, files: &Path, interrupted: &AtomicBool) -> Result<()> {
    // Dies with us, and everything in its world with it.
    let mut teller = Command::new("setpriv");
    teller
        .args(["--pdeathsig", "KILL"])
        .arg(env::current_exe()?)
        .arg("--story");
    if keep {
        teller.arg("--keep");
    }
    let mut teller = teller
        .env("TMPDIR", files)
        .spawn()
        .context("cannot start setpriv")?;
    loop {
        if let Some(status) = teller.try_wait()? {
            if interrupted.load(Ordering::Relaxed) {
                bail!("interrupted");
            }
            if !status.success() {
                bail!("the story ended early ({status})");
            }
            return Ok(());
        }
        if interrupted.load(Ordering::Relaxed) {
            end(&mut teller)?;
            bail!("interrupted");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Its children end with it: the kernel sees to that.
fn end(teller: &mut Child) -> Result<()> {
    teller.kill()?;
    teller.wait()?;
    Ok(())
}
