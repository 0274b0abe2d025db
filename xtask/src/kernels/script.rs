//! What a guest runs in the end: a shell script that runs each test binary and says how it ended.

use std::path::Path;

use anyhow::{Context, Result};

use super::binaries::Binary;
use crate::{setup, workspace};

/// Tests that the kernels of a series cannot run, by the beginning of the release, and why: told, and counted as skipped.
const IMPOSSIBLE: [(&str, &str, &str); 1] = [(
    "6.1.",
    "edge_ways::without_room_for_the_outer_header_packets_are_dropped",
    "a run takes 32 bytes of metadata at most, and the headroom is 256 without",
)];

/// The tests that are left out on this release, and why.
pub(super) fn left_out(release: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    IMPOSSIBLE
        .into_iter()
        .filter(move |(series, ..)| release.starts_with(series))
        .map(|(_, test, why)| (test, why))
}

/// How many tests of a binary run at once. The packet rows are alone with the processor. The live tests send requests at a rate
/// each: one for each of the two processors, as on this machine.
fn at_once(binary: &str) -> u32 {
    match binary {
        "packets" => 4,
        _ => 2,
    }
}

/// What a guest says when it has run everything.
pub(super) const DONE: &str = "guest: done";

/// The script for these binaries on this release; `filter` goes to each.
pub(super) fn of(binaries: &[Binary], filter: &[String], release: &str) -> Result<String> {
    let path = setup::path_with(&[])?;
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/root".into());
    let mut script = String::new();
    for (name, value) in [("PATH", path), ("HOME", home), ("NO_COLOR", "1".into())] {
        let value = value
            .to_str()
            .with_context(|| format!("{name} is no UTF-8"))?;
        script.push_str(&format!("export {name}={}\n", quoted(value)));
    }
    let tests = workspace::root().join("tests");
    script.push_str(&format!("cd {}\n", quoted_path(&tests)?));
    script.push_str(
        "echo \"guest: Linux $(uname -r), root ready after $(cut -d ' ' -f 1 /proc/uptime) s\"\n",
    );
    for binary in binaries {
        script.push_str(&quoted_path(&binary.program)?);
        // What needs devices that this machine's kernel may lack is run here alone.
        script.push_str(&format!(
            " --color never --include-ignored --test-threads {}",
            at_once(&binary.name)
        ));
        for (test, _) in left_out(release) {
            script.push_str(&format!(" --skip {test}"));
        }
        for argument in filter {
            script.push(' ');
            script.push_str(&quoted(argument));
        }
        script.push_str(&format!(
            "\necho \"guest: {} ended with $?, after $(cut -d ' ' -f 1 /proc/uptime) s\"\n",
            binary.name
        ));
    }
    script.push_str(&format!("echo '{DONE}'\n/run/busybox poweroff -f\n"));
    Ok(script)
}

fn quoted_path(path: &Path) -> Result<String> {
    let path = path
        .to_str()
        .context("a path of the workspace is no UTF-8")?;
    Ok(quoted(path))
}

/// As a shell takes it, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary() -> Binary {
        Binary {
            name: "packets".to_owned(),
            program: "/t/it's/packets-1".into(),
        }
    }

    #[test]
    fn the_script_runs_each_binary_and_says_how_it_ended() {
        let script = of(&[binary()], &["a filter".to_owned()], "6.12.1").unwrap();
        assert!(
            script
                .contains("\n'/t/it'\\''s/packets-1' --color never --include-ignored --test-threads 4 'a filter'\n"),
            "{script}"
        );
        assert!(script.contains("guest: packets ended with $?"), "{script}");
        assert!(script.ends_with("echo 'guest: done'\n/run/busybox poweroff -f\n"));
    }

    #[test]
    fn no_more_live_tests_run_at_once_than_there_are_processors() {
        let live = Binary {
            name: "balancing".to_owned(),
            ..binary()
        };
        let script = of(&[live], &[], "6.12.1").unwrap();
        assert!(script.contains(" --test-threads 2\n"), "{script}");
    }

    #[test]
    fn what_a_kernel_cannot_run_is_left_out_there_alone() {
        let on = |release| of(&[binary()], &[], release).unwrap();
        assert!(on("6.1.0-50-amd64").contains(" --skip edge_ways::without_room"));
        assert!(!on("6.12.117+deb13-amd64").contains("--skip"));
    }
}
