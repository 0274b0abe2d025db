//! What is wrong with `edge.toml` is told by file, line and key.

use anyhow::Result;

use crate::{Bench, assert_said};

const GOOD: &str = "interface = \"eth0\"\nallow_default_route_interface = true";

#[test]
fn a_missing_file_is_named() -> Result<()> {
    let bench = Bench::new()?;
    let reply = bench.refused(&bench.file("nowhere.toml"))?;
    assert_said(&reply, 2, &["/nowhere.toml: No such file"]);
    Ok(())
}

// Promise: C9
#[test]
fn an_unknown_key_is_told_with_its_line() -> Result<()> {
    let bench = Bench::new()?;
    let reply = bench.refused(&bench.config(&format!("{GOOD}\nintreface = \"eth1\""), "")?)?;
    assert_said(&reply, 2, &["/edge.toml:4: key `intreface`", "expected"]);
    Ok(())
}

// Promise: C9
#[test]
fn a_value_of_the_wrong_type_is_told_with_what_was_expected() -> Result<()> {
    let bench = Bench::new()?;
    let reply = bench.refused(&bench.config("interface = 7", "")?)?;
    assert_said(
        &reply,
        2,
        &[
            "/edge.toml:2: key `interface`",
            "expected an interface's name",
        ],
    );
    Ok(())
}

#[test]
fn text_that_is_no_toml_is_told_with_its_line() -> Result<()> {
    let bench = Bench::new()?;
    let reply = bench.refused(&bench.config(&format!("{GOOD}\nwhat is this"), "")?)?;
    assert_said(&reply, 2, &["/edge.toml:4: "]);
    Ok(())
}

#[test]
fn a_vip_that_is_a_backends_own_address_is_refused() -> Result<()> {
    let bench = Bench::new()?;
    let service = "[[service]]\nname = \"web\"\nvip = \"10.1.0.10\"\nport = 80\n\
         [[service.backend]]\naddress = \"10.1.0.10\"";
    let reply = bench.refused(&bench.config(GOOD, service)?)?;
    assert_said(
        &reply,
        2,
        &["/edge.toml:12: key `service[0].backend[0].address`: it is the VIP"],
    );
    Ok(())
}

#[test]
fn an_unknown_version_is_refused() -> Result<()> {
    let bench = Bench::new()?;
    let config = bench.config(GOOD, "")?;
    let text = std::fs::read_to_string(&config)?;
    std::fs::write(&config, text.replace("version = 1", "version = 2"))?;
    let reply = bench.refused(&config)?;
    assert_said(&reply, 2, &["/edge.toml:1: key `version`", "expected"]);
    Ok(())
}
