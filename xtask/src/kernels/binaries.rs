//! The test binaries that guests run, as cargo builds and names them.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::workspace;

/// What depends on the kernel: what the verifier lets in and what programs do with packets, and what attaches them.
const TESTS: [&str; 8] = [
    "packets",
    "plane",
    "balancing",
    "agent",
    "devices",
    "vlans",
    "interfaces",
    "slow_path",
];

/// One built runner.
pub(super) struct Binary {
    /// The name of its test target.
    pub(super) name: String,
    /// The program.
    pub(super) program: PathBuf,
}

/// Builds the programs that tests start, and the runners.
pub(super) fn build() -> Result<Vec<Binary>> {
    let built = workspace::cargo().arg("build").status()?;
    if !built.success() {
        bail!("the build failed");
    }
    let mut cargo = workspace::cargo();
    cargo.args([
        "test",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    for test in TESTS {
        cargo.args(["--test", test]);
    }
    let built = cargo
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !built.status.success() {
        bail!("the build of the tests failed");
    }
    let said = String::from_utf8_lossy(&built.stdout);
    let mut binaries: Vec<Binary> = said.lines().filter_map(binary).collect();
    // In the order of the list: the packets first, because nothing else can work without them.
    binaries.sort_by_key(|binary| TESTS.iter().position(|test| *test == binary.name));
    ensure!(
        binaries.len() == TESTS.len(),
        "cargo named {} of {} test binaries",
        binaries.len(),
        TESTS.len()
    );
    Ok(binaries)
}

fn binary(message: &str) -> Option<Binary> {
    let message: Value = serde_json::from_str(message).ok()?;
    let kinds = message["target"]["kind"].as_array()?;
    if message["reason"] != "compiler-artifact" || !kinds.iter().any(|kind| kind == "test") {
        return None;
    }
    Some(Binary {
        name: message["target"]["name"].as_str()?.to_owned(),
        program: message["executable"].as_str()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_binary_is_known_by_cargos_message() {
        let message = |reason: &str, kind: &str| {
            format!(
                r#"{{"reason":"{reason}","target":{{"kind":["{kind}"],"name":"packets"}},"executable":"/t/packets-1"}}"#
            )
        };
        let found = binary(&message("compiler-artifact", "test")).unwrap();
        assert_eq!(found.name, "packets");
        assert_eq!(found.program, PathBuf::from("/t/packets-1"));
        assert!(binary(&message("compiler-artifact", "bin")).is_none());
        assert!(binary(&message("build-finished", "test")).is_none());
    }
}
