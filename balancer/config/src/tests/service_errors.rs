//! What is wrong with a declared service: file, line, key, and what was expected.

use super::errors::{assert_error, unmark};
use super::*;

/// The same for a service: `lines` replace those of the same key, or are added.
#[track_caller]
pub(super) fn service(lines: &str, expected: &str) {
    let (line, text) = unmark(&text(lines));
    assert_error(
        parse_services(&text, "s.toml"),
        &format!("s.toml:{line}: {expected}"),
    );
}

/// The error of a service with these lines.
#[track_caller]
pub(super) fn refused(lines: &str) -> ConfigError {
    parse_services(&text(lines), "s.toml").expect_err("an error")
}

fn text(lines: &str) -> String {
    let key = |line: &str| line.split('=').next().unwrap().trim().to_owned();
    let given: Vec<String> = lines.lines().map(key).collect();
    let mut text = "version = 1\n[[service]]\n".to_owned();
    for line in ["name = \"web\"", "vip = \"198.51.100.10\"", "port = 8000"] {
        if !given.contains(&key(line)) {
            text += line;
            text += "\n";
        }
    }
    text + lines
}

#[test]
fn a_service_that_breaks_a_rule_of_its_own() {
    service(
        "vip = \"224.0.0.1\"<-",
        "key `service[0].vip`: 224.0.0.1 is a multicast address; expected an address that routers can lead to this edge",
    );
    service(
        "port = 0<-",
        "key `service[0].port`: it is 0; expected 1 to 65535",
    );
    let check = |check: &str| format!("check = {{ type = \"http\", {check} }}<-");
    service(
        &check("path = \"x\""),
        "key `service[0].check.path`: \"x\"; expected a path that begins with `/`, without spaces or control characters",
    );
    service(
        &check("port = 0"),
        "key `service[0].check.port`: it is 0; expected 1 to 65535",
    );
    service(
        &check("rise = 0"),
        "key `service[0].check.rise`: it is 0; expected 1 to 255",
    );
    service(
        &check("fall = 0"),
        "key `service[0].check.fall`: it is 0; expected 1 to 255",
    );
    service(
        &check("interval_ms = 0"),
        "key `service[0].check.interval_ms`: it is 0; expected at least 1 ms",
    );
    service(
        &check("timeout_ms = 1001"),
        "key `service[0].check.timeout_ms`: 1001 ms with an interval of 1000 ms; expected 1 ms up to the interval",
    );
    let backends = |second| {
        format!(
            "encapsulation = \"ipip\"\n[[service.backend]]\naddress = \"10.1.0.1\"\n[[service.backend]]\nweight = 2\naddress = \"{second}\"<-"
        )
    };
    service(
        &backends("2001:db8::1"),
        "key `service[0].backend[1].address`: encapsulation ipip cannot carry packets for 198.51.100.10 to it; expected an encapsulation for these address families, such as gue",
    );
    service(
        &backends("127.0.0.1"),
        "key `service[0].backend[1].address`: 127.0.0.1 is a loopback address; expected the address of one host",
    );
    service(
        &backends("198.51.100.10"),
        "key `service[0].backend[1].address`: it is the VIP of service `web`; expected a backend's own address",
    );
    service(
        &backends("10.1.0.1"),
        "key `service[0].backend[1].address`: 10.1.0.1 is a backend of this service already; expected each backend once",
    );
}

#[test]
fn a_check_by_tables_is_as_good_as_one_in_line() {
    service(
        "[service.check]\ntype = \"tcp\"\nrise = 1\nfall = 0<-",
        "key `service[0].check.fall`: it is 0; expected 1 to 255",
    );
}

// Promise: C9
#[test]
fn two_services_that_clash() {
    let second = |lines: &str| {
        format!("name = \"web\"\nvip = \"198.51.100.10\"\nport = 8000\n[[service]]\n{lines}")
    };
    service(
        &second("name = \"web\"<-\nvip = \"198.51.100.11\"\nport = 8000"),
        "key `service[1].name`: another service is called `web`; expected a name of its own",
    );
    service(
        &second("name = \"api\"\nvip = \"198.51.100.10\"<-\nport = 8000"),
        "key `service[1].vip`: 198.51.100.10:8000/tcp is service `web`; expected a VIP, port and protocol that no other service has",
    );
    service(
        &second(
            "name = \"api\"\nvip = \"198.51.100.11\"\nport = 8000\n[[service.backend]]\naddress = \"198.51.100.10\"<-",
        ),
        "key `service[1].backend[0].address`: it is the VIP of service `web`; expected a backend's own address",
    );
    // With CRLF, lines are counted alike.
    let (line, text) = unmark(&format!(
        "version = 1\n[[service]]\n{}",
        second("name = \"web\"<-\nvip = \"198.51.100.11\"\nport = 1")
    ));
    let error = parse_services(&text.replace('\n', "\r\n"), "s.toml").unwrap_err();
    assert_eq!((error.line, error.key.as_str()), (line, "service[1].name"));
}

#[test]
fn a_file_of_services_has_nothing_else() {
    assert_error(
        parse_services("version = 1\ninterface = \"eth0\"\nservice = []", "s.toml"),
        "s.toml:2: key `interface`: there is no such key; expected only version, service",
    );
}
