//! What a guest runs in the end: a shell script that runs each test binary and says how it ended.

use std::path::Path;

use anyhow::{Context, Result};

use super::binaries::Binary;
use crate::{setup, workspace};

/// What a guest says when it has run everything.
pub(super) const DONE: &str = "guest: done";

/// The script for these binaries; `filter` goes to each.
pub(super) fn of(binaries: &[Binary], filter: &[String]) -> Result<String> {
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
        script.push_str(" --color never --include-ignored --test-threads 4");
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

    #[test]
    fn the_script_runs_each_binary_and_says_how_it_ended() {
        let binary = Binary {
            name: "packets".to_owned(),
            program: "/t/it's/packets-1".into(),
        };
        let script = of(&[binary], &["a filter".to_owned()]).unwrap();
        assert!(
            script
                .contains("\n'/t/it'\\''s/packets-1' --color never --include-ignored --test-threads 4 'a filter'\n"),
            "{script}"
        );
        assert!(script.contains("guest: packets ended with $?"), "{script}");
        assert!(script.ends_with("echo 'guest: done'\n/run/busybox poweroff -f\n"));
    }
}
