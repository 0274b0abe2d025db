//! The bench measures what it says that it measures; how fast that is, no test can tell.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;
use testbed::program;

fn bench(cases: &[&str]) -> Result<Vec<Value>> {
    let few = ["--json", "--rounds", "1", "--packets", "3000"];
    let output = Command::new(program("bench")?)
        .args(cases)
        .args(few)
        .output()
        .context("cannot start the bench")?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout)?;
    let lines = lines.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

#[test]
fn every_packet_of_a_case_is_verified_and_the_line_tells_it() -> Result<()> {
    let lines = bench(&["v4_tcp_1m"])?;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    let keys: Vec<_> = line.as_object().context("an object")?.keys().collect();
    assert_eq!(
        keys,
        [
            "backends", "case", "floor_ns", "flows", "net_ns", "ns", "packets", "ratio",
            "services", "verified"
        ]
    );
    assert_eq!(line["case"], "v4_tcp_1m");
    assert_eq!(line["flows"], 1_000_000);
    assert_eq!(line["services"], 1);
    assert_eq!(line["backends"], 100);
    assert_eq!(line["verified"], true);
    let number = |key: &str| line[key].as_f64().context("a number");
    assert!(number("packets")? >= 3_000.0, "{line}");
    let ratio = number("ns")? / number("floor_ns")?;
    assert!((number("ratio")? - ratio).abs() < 0.01, "{line}");
    Ok(())
}

#[test]
fn every_case_is_verified() -> Result<()> {
    let lines = bench(&[])?;
    let names: Vec<_> = lines.iter().map(|line| &line["case"]).collect();
    assert_eq!(
        names,
        [
            "v4_tcp",
            "v4_udp",
            "v6_tcp",
            "v4_tcp_gue",
            "v4_tcp_1m",
            "v6_tcp_1m",
            "v4_syn_flood",
            "v4_tcp_alternates",
            "not_for_us",
            "v4_tcp_512_services_1m",
            "decap_ipip",
            "decap_gue",
            "decap_second_chance",
        ]
    );
    assert!(
        lines.iter().all(|line| line["verified"] == true),
        "{lines:?}"
    );
    Ok(())
}

#[test]
fn live_frames_come_back_all_of_them() -> Result<()> {
    let lines = bench(&["--live"])?;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["case"], "live_v4_tcp_1m");
    assert_eq!(lines[0]["verified"], true);
    Ok(())
}
