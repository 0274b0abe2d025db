//! Long steps, narrated: a spinner on a terminal, two plain lines elsewhere; the output only on failure.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, IsTerminal, stderr};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// How much of a failed step's output is shown.
const LINES_SHOWN: usize = 40;

/// Runs `command` to its end as the step `what`.
pub(crate) fn step(what: &str, command: &mut Command) -> Result<()> {
    let started = Instant::now();
    let progress = progress(what);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{what}: cannot start {:?}", command.get_program()))?;

    let (lines, seen) = mpsc::channel::<String>();
    let readers = [
        reader(child.stdout.take().context("no stdout")?, lines.clone()),
        reader(child.stderr.take().context("no stderr")?, lines),
    ];
    let mut last = VecDeque::new();
    for line in seen {
        progress.set_message(line.trim().chars().take(60).collect::<String>());
        if last.len() == LINES_SHOWN {
            last.pop_front();
        }
        last.push_back(line);
    }
    for reader in readers {
        reader.join().expect("a reader of lines does not panic");
    }
    let status = child.wait()?;
    progress.finish_and_clear();
    if !status.success() {
        for line in last {
            eprintln!("  {line}");
        }
        bail!("{what}: failed ({status})");
    }
    eprintln!("{what}: done in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn progress(what: &str) -> ProgressBar {
    if !stderr().is_terminal() {
        eprintln!("{what} ...");
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {prefix} ({elapsed}) {wide_msg:.dim}")
        .expect("the template is constant");
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.set_prefix(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn reader(
    pipe: impl std::io::Read + Send + 'static,
    lines: mpsc::Sender<String>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // The other end lives as long as this thread.
            let _ = lines.send(line);
        }
    })
}
