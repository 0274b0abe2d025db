//! The demos: what Balancer does, shown on this machine and checked.
//!
//! Each runs in a process of its own, so that however it ends, by Ctrl-C or a failure too, this
//! one looks at what is left of it.

mod job;
mod kept;
mod narrate;
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
use clap::{Parser, ValueEnum};
use testbed::{Runs, Traces};

/// Shows Balancer at work in network namespaces of this machine.
#[derive(Parser)]
struct Arguments {
    /// What to show
    #[arg(value_enum, default_value_t = Show::Job)]
    show: Show,
    /// Leave the topology up and say what to try in it
    #[arg(long)]
    keep: bool,
    /// Remove what --keep left
    #[arg(long, conflicts_with = "keep")]
    clean: bool,
    /// Show it in this process, unwatched
    #[arg(long, hide = true)]
    unwatched: bool,
}

/// What can be shown.
#[derive(Clone, Copy, ValueEnum)]
enum Show {
    /// The main job: one edge, three instances, ten curls
    Job,
    /// The story: one workload file, two cities; instances are containers
    Story,
    /// The story without a container engine: instances are processes
    StoryBuiltin,
}

impl Show {
    fn name(self) -> &'static str {
        match self {
            Show::Job => "job",
            Show::Story => "story",
            Show::StoryBuiltin => "story-builtin",
        }
    }
}

/// Where a demo leaves its last line, below its temporary directory.
const SUMMARY: &str = "summary";

fn main() -> ExitCode {
    let Arguments {
        show,
        keep,
        clean,
        unwatched,
    } = Arguments::parse();
    let done = if clean {
        kept::clean()
    } else if unwatched {
        let summary = env::temp_dir().join(SUMMARY);
        match show {
            Show::Job => job::tell(keep, &summary),
            Show::Story => story::tell(Runs::Docker, &summary),
            Show::StoryBuiltin => story::tell(Runs::Builtin, &summary),
        }
    } else {
        watch(show, keep)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let who = if unwatched { show.name() } else { "demo" };
            eprintln!("{who}: failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Has it shown, then makes sure that nothing of it is left.
fn watch(show: Show, keep: bool) -> Result<()> {
    if keep && !matches!(show, Show::Job) {
        bail!("only the main job can be left up: `cargo xtask demo --keep`");
    }
    kept::refuse_second()?;
    let before = Traces::take()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&interrupted);
    ctrlc::set_handler(move || seen.store(true, Ordering::Relaxed))
        .context("cannot listen for Ctrl-C")?;
    // Everything that it writes outside its own mounts.
    let files = tempfile::Builder::new()
        .prefix("balancer-demo-")
        .tempdir()?;
    let shown = have_shown(show, keep, files.path(), &interrupted);
    let summary = fs::read_to_string(files.path().join(SUMMARY)).unwrap_or_default();
    match (shown, keep) {
        (Ok(()), true) => {
            kept::record_directory(&files.keep())?;
            println!("demo: {summary}; `cargo xtask clean` removes it");
            Ok(())
        }
        (shown, _) => {
            kept::clean()?;
            files.close()?;
            before.nothing_new()?;
            shown.context("nothing is left behind")?;
            println!("demo: {summary}; nothing left behind");
            Ok(())
        }
    }
}

fn have_shown(show: Show, keep: bool, files: &Path, interrupted: &AtomicBool) -> Result<()> {
    // Dies with us, and everything in its world with it: also what its daemons started to outlive them, because
    // the first process of a PID namespace takes all others with it. What is kept has to be found from outside.
    let mut player = Command::new("setpriv");
    player.args(["--pdeathsig", "KILL"]);
    if !keep {
        player.args(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    }
    player
        .arg(env::current_exe()?)
        .args([show.name(), "--unwatched"]);
    if keep {
        player.arg("--keep");
    }
    let mut player = player
        .env("TMPDIR", files)
        .spawn()
        .context("cannot start setpriv")?;
    loop {
        if let Some(status) = player.try_wait()? {
            if interrupted.load(Ordering::Relaxed) {
                bail!("interrupted");
            }
            if !status.success() {
                bail!("it ended early ({status})");
            }
            return Ok(());
        }
        if interrupted.load(Ordering::Relaxed) {
            end(&mut player)?;
            bail!("interrupted");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Its children end with it: the kernel sees to that.
fn end(player: &mut Child) -> Result<()> {
    player.kill()?;
    player.wait()?;
    Ok(())
}
