//! Where daemons are asked over TCP, and files that declare one instance each.

use std::path::Path;

use super::agent_errors::agent;
use super::errors::{assert_error, unmark};
use crate::{AgentConfig, EdgeConfig, Instance, api::ApiListen};

const EDGES: &str = "edges = [\"10.1.0.0/24\"]\n";

/// What both daemons read out of these lines.
fn listen(lines: &str) -> Option<ApiListen> {
    let text = format!("version = 1\ninterface = \"eth0\"\n{lines}");
    let edge = EdgeConfig::parse(&text, "e.toml").unwrap().api_listen;
    let text = format!("version = 1\n{EDGES}{lines}");
    let agent = AgentConfig::parse(&text, "a.toml").unwrap().api_listen;
    assert_eq!(edge, agent);
    edge
}

#[test]
fn a_daemon_listens_on_tcp_only_when_told_where() {
    assert_eq!(listen(""), None);
    let here = listen("api_listen = \"127.0.0.1:9108\"").unwrap();
    assert_eq!((here.address.port(), here.token_file), (9108, None));
    assert!(listen("api_listen = \"[::1]:9108\"").is_some());
    let guarded = "api_listen = \"10.1.0.2:9108\"\napi_token_file = \"/etc/balancer/token\"";
    let guarded = listen(guarded).unwrap();
    assert_eq!(guarded.address, "10.1.0.2:9108".parse().unwrap());
    assert_eq!(
        guarded.token_file.as_deref(),
        Some(Path::new("/etc/balancer/token"))
    );
}

// Promise: V3
#[test]
fn who_can_be_reached_from_elsewhere_needs_a_token() {
    for address in ["10.1.0.2", "0.0.0.0", "[::]", "[2001:db8::1]"] {
        agent(
            &format!("{EDGES}api_listen = \"{address}:9108\"<-"),
            &format!(
                "key `api_listen`: {address}:9108 can be reached from elsewhere, and no token is asked for; \
                 expected `api_token_file` beside it, or a loopback address"
            ),
        );
    }
}

#[test]
fn a_token_or_an_address_that_cannot_be_right_is_refused() {
    agent(
        &format!("{EDGES}api_token_file = \"/token\"<-"),
        "key `api_token_file`: there is no `api_listen` that it is for; expected `api_listen` beside it",
    );
    agent(
        &format!("{EDGES}api_listen = \"127.0.0.1:0\"<-"),
        "key `api_listen`: port 0 is a different port each time; \
         expected an address and a port, such as \"10.1.0.2:9108\"",
    );
    agent(
        &format!("{EDGES}api_listen = \"127.0.0.1\"<-"),
        "key `api_listen`: \"127.0.0.1\": invalid socket address syntax; \
         expected an address and a port, such as \"10.1.0.2:9108\"",
    );
    agent(
        &format!("{EDGES}api_listen = \"127.0.0.1:9108\"\napi_token_file = \"token\"<-"),
        "key `api_token_file`: \"token\"; expected a path that begins with `/`",
    );
}

// Promise: V4
#[test]
fn a_file_of_one_instance_has_its_keys_at_the_top() {
    let text = "name = \"web-1\"\nnetns = \"/run/netns/web-1\"\nvips = [\"198.51.100.10\"]\n";
    let instance = Instance::parse(text, "web-1.toml").unwrap();
    assert_eq!(
        (instance.name.as_str(), instance.interface.as_str()),
        ("web-1", "eth0")
    );
    assert_eq!(instance.netns, Path::new("/run/netns/web-1"));
    assert_eq!(
        instance.vips,
        ["198.51.100.10".parse::<std::net::IpAddr>().unwrap()]
    );
    let versioned = format!("version = 1\n{text}");
    assert_eq!(Instance::parse(&versioned, "web-1.toml").unwrap(), instance);
}

#[track_caller]
fn drop_in(lines: &str, expected: &str) {
    let (line, text) = unmark(lines);
    assert_error(
        Instance::parse(&text, "i.toml"),
        &format!("i.toml:{line}: {expected}"),
    );
}

// Promise: V4
#[test]
fn a_file_of_one_instance_that_cannot_be_right() {
    drop_in(
        "name = \"web-1\"<-",
        "key `netns`: it is missing; expected a path such as \"/run/netns/web-1\"",
    );
    drop_in(
        "name = \"web.1\"<-",
        "key `name`: \"web.1\"; expected 1 to 63 bytes without `/` and `.`",
    );
    drop_in(
        "version = 2<-",
        "key `version`: this program does not know that version; expected `version = 1`, or a newer program",
    );
    drop_in(
        "[[instance]]<-",
        "key `instance`: there is no such key; expected only version, name, netns, interface, vips",
    );
}
