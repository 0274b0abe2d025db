//! The demo's voice: what is about to be shown, what takes long, what came of it.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Heads an act of the story.
pub(crate) fn act(title: &str) {
    println!("\n== {title}");
}

/// Shows a command and what it printed.
pub(crate) fn shown(command: &str, output: &str) {
    println!("$ {command}");
    for line in output.trim_end().lines() {
        println!("  {line}");
    }
}

/// Does something that takes long, and says how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let progress = progress(what);
    let done = work();
    progress.finish_and_clear();
    if done.is_ok() {
        println!("{what}: {:.1} s", started.elapsed().as_secs_f64());
    }
    done
}

fn progress(what: &str) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
        .expect("the template is constant");
    let bar = ProgressBar::new_spinner()
        .with_style(style)
        .with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
