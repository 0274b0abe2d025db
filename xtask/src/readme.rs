//! `cargo xtask readme`: runs the `sh` blocks of README.md, so that what it says stays true.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Runs each block in a shell of its own, in the workspace, and stops at the first that fails.
pub(crate) fn run() -> Result<()> {
    let file = workspace::root().join("README.md");
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let blocks = shell_blocks(&text);
    if blocks.is_empty() {
        bail!("README.md has no ```sh block");
    }
    for block in blocks {
        for line in block.lines() {
            println!("README.md: $ {line}");
        }
        let status = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block])
            .current_dir(workspace::root())
            .status()
            .context("cannot start bash")?;
        if !status.success() {
            bail!("a command of README.md failed ({status})");
        }
    }
    Ok(())
}

fn shell_blocks(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines();
    while lines.by_ref().any(|line| line == "```sh") {
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push(block.join("\n"));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shell_blocks_are_run() {
        let markdown = "# x\n```text\nno\n```\n```sh\none\ntwo\n```\nwords\n```sh\nthree\n```\n";
        assert_eq!(shell_blocks(markdown), ["one\ntwo", "three"]);
    }
}
