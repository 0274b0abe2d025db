//! Each error names file, line, key, what is wrong and what was expected.

use super::*;

/// The line of `text` that has the mark `<-`, and the text without it.
fn unmark(text: &str) -> (usize, String) {
    let line = text.lines().position(|line| line.contains("<-"));
    (line.expect("a marked line") + 1, text.replace("<-", ""))
}

#[track_caller]
fn assert_error<T>(result: Result<T, ConfigError>, expected: &str) {
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

/// The same for a service: `lines` replace those of the same key, or are added.
#[track_caller]
fn service(lines: &str, expected: &str) {
    let key = |line: &str| line.split('=').next().unwrap().trim().to_owned();
    let given: Vec<String> = lines.lines().map(key).collect();
    let mut text = "version = 1\n[[service]]\n".to_owned();
    for line in ["name = \"web\"", "vip = \"198.51.100.10\"", "port = 8000"] {
        if !given.contains(&key(line)) {
            text += line;
            text += "\n";
        }
    }
    let (line, text) = unmark(&(text + lines));
    assert_error(
        parse_services(&text, "s.toml"),
        &format!("s.toml:{line}: {expected}"),
    );
}

#[track_caller]
fn agent(lines: &str, expected: &str) {
    let (line, text) = unmark(&format!("version = 1\n{lines}"));
    assert_error(
        AgentConfig::parse(&text, "a.toml"),
        &format!("a.toml:{line}: {expected}"),
    );
}

/// An agent's instance with these lines besides its name.
#[track_caller]
fn instance(lines: &str, expected: &str) {
    agent(
        &format!("edges = [\"10.1.0.0/24\"]\n[[instance]]\nname = \"web-1\"\n{lines}"),
        expected,
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

#[test]
fn a_key_that_there_is_not() {
    // The first in the file, not the first in the alphabet.
    edge(
        "zone = 1<-\nalpha = \"native\"",
        "key `zone`: there is no such key; expected only version, interface, xdp_mode, \
         allow_default_route_interface, pin_dir, state_dir, api_socket, metrics_listen, source_ipv4, \
         source_ipv6, hash_key, debug_packets, service",
    );
    service(
        "checks = 1<-",
        "key `service[0].checks`: there is no such key; expected only name, vip, port, protocol, encapsulation, drain_timeout_ms, check, backend",
    );
    service(
        "check = { type = \"tcp\",\n  path = \"/\" }<-",
        "key `service[0].check.path`: there is no such key; expected only type, port, interval_ms, timeout_ms, rise, fall",
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
        "key `service[0].check.interval_ms`: -1 is out of range; expected a number of milliseconds",
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
        "key `source_ipv4`: \"::1\": invalid IPv4 address syntax; expected an IPv4 address in quotes",
    );
    edge(
        "source_ipv6 = \"::1\"<-",
        "key `source_ipv6`: ::1 is a loopback address; expected an address of this edge",
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

#[test]
fn an_agent_file_that_cannot_be_right() {
    agent(
        "edges = []<-",
        "key `edges`: without a prefix nobody may send; expected prefixes such as [\"10.1.0.0/24\"]",
    );
    agent(
        "edges = [\"10.1.0.0/24\",\n\"10.1.0.5/24\"]<-",
        "key `edges[1]`: 10.1.0.5/24 has bits set behind its prefix; expected \"10.1.0.0/24\"",
    );
    agent(
        "edges = [\"10.1.0.0\"]<-",
        "key `edges[0]`: \"10.1.0.0\": invalid IP address syntax; expected a prefix such as \"10.1.0.0/24\"",
    );
    instance(
        "netns = \"web-1\"<-",
        "key `instance[0].netns`: \"web-1\"; expected a path that begins with `/`",
    );
    instance(
        "netns = \"/n\"\nvips = []<-",
        "key `instance[0].vips`: without a VIP there is nothing to deliver; expected VIPs such as [\"198.51.100.10\"]",
    );
    instance(
        "netns = \"/n\"\nvips = [\"10.1\"]<-",
        "key `instance[0].vips[0]`: \"10.1\": invalid IP address syntax; expected an IP address in quotes",
    );
    instance(
        "netns = \"/n\"\nvips = [\"::1\"]<-",
        "key `instance[0].vips[0]`: ::1 is a loopback address; expected an address that routers can lead to this edge",
    );
    instance(
        "netns = \"/n\"\nvips = [\"10.9.0.1\", \"10.9.0.1\"]<-",
        "key `instance[0].vips[1]`: 10.9.0.1 is there already; expected each VIP once",
    );
    instance(
        "netns = \"/n\"\ninterface = \"\"<-",
        "key `instance[0].interface`: \"\" can be no interface's name; expected an interface's name, such as \"eth0\"",
    );
    let second = |lines: &str| {
        format!(
            "netns = \"/n\"\nvips = [\"10.9.0.1\"]\n[[instance]]\nvips = [\"10.9.0.1\"]\n{lines}"
        )
    };
    instance(
        &second("name = \"web-1\"<-\nnetns = \"/m\""),
        "key `instance[1].name`: another instance is called \"web-1\"; expected a name of its own",
    );
    instance(
        &second("name = \"web-2\"\nnetns = \"/n\"<-"),
        "key `instance[1].netns`: another instance has this namespace and interface; expected each interface of a namespace once",
    );
    for name in ["", "a/b", ".hidden", "a.b"] {
        let text =
            format!("version = 1\nedges = [\"10.1.0.0/24\"]\n[[instance]]\nname = \"{name}\"");
        let expected = format!(
            "a.toml:4: key `instance[0].name`: \"{name}\"; expected 1 to 63 bytes without `/` and `.`"
        );
        assert_error(AgentConfig::parse(&text, "a.toml"), &expected);
    }
}

/// Whatever the text, there is an answer and its line is in the file.
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
