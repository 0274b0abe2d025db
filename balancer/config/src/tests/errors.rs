//! Each error names file, line, key, what is wrong and what was expected.

use super::agent_errors::{agent, instance};
use super::service_errors::service;
use super::*;

/// The line of `text` that has the mark `<-`, and the text without it.
pub(super) fn unmark(text: &str) -> (usize, String) {
    let line = text.lines().position(|line| line.contains("<-"));
    (line.expect("a marked line") + 1, text.replace("<-", ""))
}

#[track_caller]
pub(super) fn assert_error<T>(result: Result<T, ConfigError>, expected: &str) {
    let error = result.map(|_| ()).expect_err("an error");
    assert_eq!(error.to_string(), expected);
}

/// `lines` after `version = 1` and an interface; the marked line is the one named.
#[track_caller]
fn edge(lines: &str, expected: &str) {
    let (line, text) = unmark(&format!("version = 1\ninterface = \"eth0\"\n{lines}"));
    assert_error(
        EdgeConfig::parse(&text, "e.toml"),
        &format!("e.toml:{line}: {expected}"),
    );
}

#[test]
fn a_text_that_is_no_toml() {
    edge(
        "pin_dir = <-",
        "string values must be quoted, expected literal string; expected valid TOML",
    );
    edge("a = 1\na = 2<-", "duplicate key; expected valid TOML");
    assert_error(
        EdgeConfig::parse("version = 1\n\n\n[[service", "e.toml"),
        "e.toml:4: unclosed array table, expected `]]`; expected valid TOML",
    );
}

#[test]
fn a_version_that_is_missing_or_unknown() {
    let parse = |text| EdgeConfig::parse(text, "e.toml");
    assert_error(
        parse(""),
        "e.toml:1: key `version`: it is missing; expected `version = 1`",
    );
    assert_error(
        parse("interfaces = [\"eth0\"]\nversion = 2"),
        "e.toml:2: key `version`: this program does not know that version; expected `version = 1`, or a newer program",
    );
    assert_error(
        parse("version = \"1\""),
        "e.toml:1: key `version`: it is of type string; expected the number 1",
    );
}

// Promise: C9
#[test]
fn a_key_that_there_is_not() {
    // The first in the file, not the first in the alphabet.
    edge(
        "zone = 1<-\nalpha = \"native\"",
        "key `zone`: there is no such key; expected only version, interface, interfaces, xdp_mode, \
         allow_default_route_interface, pin_dir, state_dir, api_socket, api_listen, api_token_file, agent_token_file, metrics_listen, source_ipv4, \
         source_ipv6, hash_key, debug_packets, announce, service",
    );
    service(
        "checks = 1<-",
        "key `service[0].checks`: there is no such key; expected only name, vip, port, protocol, encapsulation, hash, check, drain_timeout_ms, backend",
    );
    service(
        "check = { type = \"tcp\",\n  path = \"/\" }<-",
        "key `service[0].check.path`: a tcp check has no path; expected no `path`, or another `type`",
    );
    service(
        "check = { type = \"tcp\",\n  risen = 1 }<-",
        "key `service[0].check.risen`: there is no such key; expected only type, path, port, interval_ms, timeout_ms, rise, fall",
    );
    // The API's word for it.
    service(
        "backends = []<-",
        "key `service[0].backends`: there is no such key; expected only name, vip, port, protocol, encapsulation, hash, check, drain_timeout_ms, backend",
    );
    service(
        "[[service.backend]]\naddress = \"10.1.0.1\"\n[[service.backend]]\naddr = \"10.1.0.2\"<-",
        "key `service[0].backend[1].addr`: there is no such key; expected only address, weight",
    );
    instance(
        "net = 1<-",
        "key `instance[0].net`: there is no such key; expected only name, netns, interface, vips",
    );
}

// Promise: C9
#[test]
fn a_key_that_is_missing() {
    assert_error(
        EdgeConfig::parse("version = 1", "e.toml"),
        "e.toml:1: key `interface`: it is missing; expected an interface's name, such as \"eth0\"",
    );
    let parse = |text| parse_services(text, "s.toml");
    assert_error(
        parse("version = 1"),
        "s.toml:1: key `service`: it is missing; expected [[service]] tables, or `service = []` for none",
    );
    let second =
        "version = 1\n[[service]]\nname = \"a\"\nvip = \"198.51.100.1\"\nport = 1\n[[service]]\n";
    assert_error(
        parse(&format!("{second}name = \"b\"")),
        "s.toml:6: key `service[1].vip`: it is missing; expected an IP address in quotes",
    );
    service(
        "[[service.backend]]<-\nweight = 1",
        "key `service[0].backend[0].address`: it is missing; expected an IP address in quotes",
    );
    service(
        "check = {}<-",
        "key `service[0].check.type`: it is missing; expected \"tcp\" or \"http\"",
    );
    assert_error(
        AgentConfig::parse("version = 1", "a.toml"),
        "a.toml:1: key `edges`: it is missing; expected prefixes such as [\"10.1.0.0/24\"]",
    );
    agent(
        "edges = [\"10.1.0.0/24\"]\n[[instance]]<-\nname = \"web-1\"",
        "key `instance[0].netns`: it is missing; expected a path such as \"/run/netns/web-1\"",
    );
}

// Promise: C9
#[test]
fn a_value_of_another_type() {
    edge(
        "pin_dir = 1<-",
        "key `pin_dir`: it is of type integer; expected a path that begins with `/`",
    );
    edge(
        "debug_packets = \"yes\"<-",
        "key `debug_packets`: it is of type string; expected true or false",
    );
    edge(
        "service = 1<-",
        "key `service`: it is of type integer; expected [[service]] tables",
    );
    edge(
        "[service]<-",
        "key `service`: it is of type table; expected [[service]] tables",
    );
    edge(
        "service = [1]<-",
        "key `service[0]`: it is of type integer; expected a table such as [[service]]",
    );
    service(
        "name = 1<-",
        "key `service[0].name`: it is of type integer; expected 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends",
    );
    service(
        "port = 80.5<-",
        "key `service[0].port`: it is of type float; expected 1 to 65535",
    );
    service(
        "protocol = true<-",
        "key `service[0].protocol`: it is of type boolean; expected \"tcp\" or \"udp\"",
    );
    service(
        "check = \"tcp\"<-",
        "key `service[0].check`: it is of type string; expected a table such as { type = \"tcp\" }",
    );
    service(
        "backend = [[]]<-",
        "key `service[0].backend[0]`: it is of type array; expected a table such as [[service.backend]]",
    );
    agent(
        "edges = \"10.1.0.0/24\"<-",
        "key `edges`: it is of type string; expected prefixes such as [\"10.1.0.0/24\"]",
    );
}

// Promise: C9
#[test]
fn a_number_out_of_range() {
    for port in [
        "-1",
        "65536",
        "0x1_0000",
        "99999999999999999999999999999999999999999",
    ] {
        let shown = port.replace('_', "");
        service(
            &format!("port = {port}<-"),
            &format!("key `service[0].port`: {shown} is out of range; expected 1 to 65535"),
        );
    }
    service(
        "drain_timeout_ms = 4294967296<-",
        "key `service[0].drain_timeout_ms`: 4294967296 is out of range; expected a number of milliseconds",
    );
    service(
        "check = { type = \"tcp\", rise = 256 }<-",
        "key `service[0].check.rise`: 256 is out of range; expected 1 to 255",
    );
    service(
        "check = { type = \"tcp\", interval_ms = -1 }<-",
        "key `service[0].check.interval_ms`: -1 is out of range; expected at least 1 ms",
    );
    let weight =
        |weight| format!("[[service.backend]]\naddress = \"10.1.0.1\"\nweight = {weight}<-");
    service(
        &weight("1001"),
        "key `service[0].backend[0].weight`: weight 1001 is above 1000; expected 0 to 1000",
    );
    service(
        &weight("-1"),
        "key `service[0].backend[0].weight`: -1 is out of range; expected 0 to 1000",
    );
}

#[test]
fn a_word_that_means_nothing() {
    edge(
        "xdp_mode = \"fast\"<-",
        "key `xdp_mode`: \"fast\"; expected \"native\" or \"generic\"",
    );
    service(
        "protocol = \"icmp\"<-",
        "key `service[0].protocol`: \"icmp\"; expected \"tcp\" or \"udp\"",
    );
    service(
        "encapsulation = \"gre\"<-",
        "key `service[0].encapsulation`: \"gre\"; expected \"gue\" or \"ipip\" or \"ip6ip6\" or \"ip4in6\"",
    );
    service(
        "hash = \"port\"<-",
        "key `service[0].hash`: \"port\"; expected \"flow\" or \"source\"",
    );
    service(
        "check = { type = \"grpc\" }<-",
        "key `service[0].check.type`: \"grpc\"; expected \"tcp\" or \"http\"",
    );
}

#[test]
fn a_text_that_is_no_address_path_or_name() {
    edge(
        "pin_dir = \"bpf\"<-",
        "key `pin_dir`: \"bpf\"; expected a path that begins with `/`",
    );
    edge(
        "state_dir = \"\"<-",
        "key `state_dir`: \"\"; expected a path that begins with `/`",
    );
    let long = format!("/{}", "a".repeat(107));
    edge(
        &format!("api_socket = \"{long}\"<-"),
        "key `api_socket`: 108 bytes are too many for a socket's path; expected at most 107 bytes",
    );
    edge(
        "metrics_listen = \"9107\"<-",
        "key `metrics_listen`: \"9107\": invalid socket address syntax; expected an address and a port, such as \"127.0.0.1:9107\"",
    );
    edge(
        "metrics_listen = \"[::]:0\"<-",
        "key `metrics_listen`: port 0 is a different port each time; expected an address and a port, such as \"127.0.0.1:9107\"",
    );
    edge(
        "source_ipv4 = \"::1\"<-",
        "key `source_ipv4`: \"::1\": invalid IPv4 address syntax; expected an IPv4 address or prefix in quotes",
    );
    edge(
        "source_ipv4 = \"10.64.0.1/16\"<-",
        "key `source_ipv4`: 10.64.0.1/16 has bits set behind its prefix; expected \"10.64.0.0/16\"",
    );
    edge(
        "source_ipv4 = \"10.0.0.0/15\"<-",
        "key `source_ipv4`: 10.0.0.0/15 is more than an edge can use; expected a prefix of 16 bits or more",
    );
    edge(
        "source_ipv4 = \"fd00::/64\"<-",
        "key `source_ipv4`: \"fd00::/64\": invalid IP address syntax; expected an IPv4 address or prefix in quotes",
    );
    edge(
        "source_ipv6 = \"fd00::/63\"<-",
        "key `source_ipv6`: fd00::/63 is more than an edge can use; expected a prefix of 64 bits or more",
    );
    edge(
        "source_ipv6 = \"::1\"<-",
        "key `source_ipv6`: ::1 is a loopback address; expected an address or a prefix of this edge",
    );
    for name in ["", "sixteen-letters-", "a/b", "a b", "..", "eth0:1"] {
        let text = format!("version = 1\ninterface = \"{name}\"");
        let expected = format!(
            "e.toml:2: key `interface`: \"{name}\" can be no interface's name; expected an interface's name, such as \"eth0\""
        );
        assert_error(EdgeConfig::parse(&text, "e.toml"), &expected);
    }
    service(
        "name = \"Web\"<-",
        "key `service[0].name`: \"Web\": `Web` is no service name: use 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends; expected 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends",
    );
    service(
        "vip = \"web.example\"<-",
        "key `service[0].vip`: \"web.example\": invalid IP address syntax; expected an IP address in quotes",
    );
}

#[test]
fn a_hash_key_is_refused_without_being_repeated() {
    for (key, characters) in [
        ("", 0),
        ("0123", 4),
        ("0123456789abcdeg", 16),
        ("+123456789abcdef", 16),
    ] {
        edge(
            &format!("hash_key = \"{key}\"<-"),
            &format!(
                "key `hash_key`: {characters} characters that are no key; expected 16 hexadecimal digits in quotes"
            ),
        );
    }
}

/// Whatever the text, there is an answer and its line is in the file.
// Promise: C9
#[test]
fn a_full_file_cut_off_anywhere_never_panics() {
    let lines = FULL.lines().count();
    for length in (0..FULL.len()).filter(|&length| FULL.is_char_boundary(length)) {
        if let Err(error) = EdgeConfig::parse(&FULL[..length], "e.toml") {
            assert!(
                (1..=lines).contains(&error.line),
                "cut off at {length}: {error}"
            );
        }
    }
}

// Promise: O6
#[test]
fn interfaces_that_are_no_list_of_several() {
    let refused = |lines: &str| {
        let error = EdgeConfig::parse(&format!("version = 1\n{lines}"), "e.toml");
        error.expect_err("an error").to_string()
    };
    let names = "expected names of interfaces, such as [\"eth0\", \"eth1\"]";
    let cases = [
        (
            "interface = \"eth0\"\ninterfaces = [\"eth1\"]",
            "e.toml:3: key `interfaces`: `interface` is there too; expected one of the two keys".to_owned(),
        ),
        (
            "interfaces = []",
            format!("e.toml:2: key `interfaces`: it is empty; {names}"),
        ),
        (
            "interfaces = \"eth0\"",
            format!("e.toml:2: key `interfaces`: it is of type string; {names}"),
        ),
        (
            "interfaces = [\n  \"eth0\",\n  \"eth1\",\n  \"eth0\",\n]",
            "e.toml:5: key `interfaces[2]`: \"eth0\" is there already; expected each interface once".to_owned(),
        ),
        (
            "interfaces = [\n  \"eth0\",\n  \"a/b\",\n]",
            "e.toml:4: key `interfaces[1]`: \"a/b\" can be no interface's name; expected an interface's name, such as \"eth0\"".to_owned(),
        ),
    ];
    for (lines, said) in cases {
        assert_eq!(refused(lines), said);
    }
}
