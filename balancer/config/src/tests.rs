//! Whole files, and each thing that can be wrong with one.

mod agent_errors;
mod announce;
mod api;
mod errors;
mod fleet;
mod reference;
mod service_errors;

use std::path::Path;

use balancer_core::model::{CheckKind, Encapsulation, HashPolicy, Http, Protocol, Tcp};

use super::*;

const FULL: &str = r#"
version = 1
interface = "eth0"
xdp_mode = "generic"
allow_default_route_interface = true
pin_dir = "/sys/fs/bpf/edge-a"
state_dir = "/srv/balancer"
api_socket = "/run/edge-a.sock"
metrics_listen = "127.0.0.1:9107"
source_ipv4 = "10.64.0.0/16"
source_ipv6 = "2001:db8:1::2"
hash_key = "0123456789abcdef"
debug_packets = true

[[service]]
name = "web"
vip = "198.51.100.10"
port = 8000
protocol = "tcp"
encapsulation = "ipip"
drain_timeout_ms = 1000
check = { type = "http", path = "/healthz", port = 8001, interval_ms = 2000, timeout_ms = 700, rise = 4, fall = 5 }
[[service.backend]]
address = "10.1.0.10"
weight = 3
[[service.backend]]
address = "10.1.0.11"

[[service]]
name = "dns"
vip = "2001:db8::10"
port = 53
protocol = "udp"
"#;

#[test]
fn a_full_edge_file_says_everything() {
    let config = EdgeConfig::parse(FULL, "edge.toml").unwrap();
    assert_eq!(config.interfaces, ["eth0"]);
    assert_eq!(config.xdp_mode, XdpMode::Generic);
    assert!(config.allow_default_route_interface && config.debug_packets);
    assert_eq!(config.pin_dir, Path::new("/sys/fs/bpf/edge-a"));
    assert_eq!(config.state_dir, Path::new("/srv/balancer"));
    assert_eq!(config.api_socket, Path::new("/run/edge-a.sock"));
    assert_eq!(
        config.metrics_listen,
        Some("127.0.0.1:9107".parse().unwrap())
    );
    assert_eq!(config.source_ipv4, Some("10.64.0.0/16".parse().unwrap()));
    assert_eq!(
        config.source_ipv6,
        Some("2001:db8:1::2/128".parse().unwrap())
    );
    assert_eq!(config.hash_key, Some(0x0123_4567_89ab_cdef));

    let [web, dns] = config.services.as_slice() else {
        panic!("two services")
    };
    assert_eq!(
        (web.name.as_str(), web.key.to_string().as_str()),
        ("web", "198.51.100.10:8000/tcp")
    );
    assert_eq!(
        (web.encapsulation, web.drain_timeout_ms),
        (Encapsulation::Ipip, 1_000)
    );
    let check = web.check.as_ref().unwrap();
    assert_eq!(
        check.kind,
        CheckKind::Http(Http {
            path: "/healthz".into()
        })
    );
    assert_eq!(
        (check.port, check.interval_ms, check.timeout_ms),
        (8001, 2_000, 700)
    );
    assert_eq!((check.rise, check.fall), (4, 5));
    let weights: Vec<u16> = web
        .backends
        .values()
        .map(|backend| backend.weight.get())
        .collect();
    assert_eq!(weights, [3, 1]);
    assert_eq!(
        (dns.key.protocol, dns.encapsulation),
        (Protocol::Udp, Encapsulation::Gue)
    );
}

#[test]
fn a_service_hashes_by_flow_unless_it_says_by_source() {
    let hash = |line: &str| {
        let text = FULL.replace("encapsulation = \"ipip\"", line);
        let config = EdgeConfig::parse(&text, "edge.toml").unwrap();
        config.services[0].hash
    };
    assert_eq!(hash(""), HashPolicy::Flow);
    assert_eq!(hash("hash = \"flow\""), HashPolicy::Flow);
    assert_eq!(hash("hash = \"source\""), HashPolicy::Source);
}

#[test]
fn a_short_edge_file_has_defaults() {
    let config = EdgeConfig::parse("version = 1\ninterface = \"eth0\"", "edge.toml").unwrap();
    let expected = EdgeConfig {
        interfaces: vec!["eth0".into()],
        xdp_mode: XdpMode::Native,
        allow_default_route_interface: false,
        pin_dir: "/sys/fs/bpf/balancer".into(),
        state_dir: "/var/lib/balancer".into(),
        api_socket: "/run/balancer/lbd.sock".into(),
        api_listen: None,
        agent_token_file: None,
        metrics_listen: None,
        source_ipv4: None,
        source_ipv6: None,
        hash_key: None,
        services: Vec::new(),
        services_digest: None,
        debug_packets: false,
        announce: None,
    };
    assert_eq!(config, expected);
}

// Promise: B3
#[test]
fn an_edge_that_may_be_one_of_several_is_told_to_have_their_key() {
    let doubt = |lines: &str| {
        let text = format!("version = 1\ninterface = \"eth0\"\n{lines}");
        EdgeConfig::parse(&text, "edge.toml").unwrap().doubt()
    };
    let (key, announce) = (
        "hash_key = \"0123456789abcdef\"",
        "[announce]\nspeaker = \"gobgp\"",
    );
    assert_eq!(doubt(""), None);
    assert_eq!(doubt(&format!("{key}\n{announce}")), None);
    assert!(doubt(announce).unwrap().contains("`hash_key` is not set"));
}

/// The services of a file that has only these lines besides its version.
fn services(lines: &str) -> Vec<balancer_core::model::Service> {
    parse_services(&format!("version = 1\n{lines}"), "services.toml").unwrap()
}

#[test]
fn a_short_check_has_defaults() {
    let check = |check: &str| {
        let lines = format!(
            "[[service]]\nname = \"web\"\nvip = \"198.51.100.10\"\nport = 8000\ncheck = {check}"
        );
        services(&lines).remove(0).check.unwrap()
    };
    let http = check("{ type = \"http\" }");
    assert_eq!(http.kind, CheckKind::Http(Http::default()));
    assert_eq!(
        (http.port, http.interval_ms, http.timeout_ms),
        (8000, 1_000, 500)
    );
    assert_eq!((http.rise, http.fall), (2, 3));
    assert_eq!(check("{ type = \"tcp\" }").kind, CheckKind::Tcp(Tcp {}));
    // A quick check has no slower timeout than its interval.
    assert_eq!(
        check("{ type = \"tcp\", interval_ms = 200 }").timeout_ms,
        200
    );
}

#[test]
fn several_interfaces_keep_their_order() {
    let text = "version = 1\ninterfaces = [\"eth1\", \"eth0\"]";
    let config = EdgeConfig::parse(text, "edge.toml").unwrap();
    assert_eq!(config.interfaces, ["eth1", "eth0"]);
}

#[test]
fn a_list_of_no_services_says_that_there_are_none() {
    assert!(services("service = []").is_empty());
    let text = "version = 1\ninterface = \"eth0\"\nservice = []";
    let config = EdgeConfig::parse(text, "edge.toml").unwrap();
    assert_eq!(config.services_digest, Some(services_digest(&[])));
}

#[test]
fn a_digest_tells_other_services_and_nothing_else() {
    let edge = |text: &str| {
        EdgeConfig::parse(text, "edge.toml")
            .unwrap()
            .services_digest
            .unwrap()
    };
    let digest = edge(FULL);
    assert_eq!(digest, edge(&FULL.replace("eth0", "eth1")));
    assert_eq!(digest, edge(&FULL.replace("protocol = \"tcp\"", "# tcp")));
    assert_ne!(digest, edge(&FULL.replace("weight = 3", "weight = 4")));
    let mut services = EdgeConfig::parse(FULL, "edge.toml").unwrap().services;
    services.reverse();
    assert_eq!(digest, services_digest(&services));
}

/// A daemon compares the digest with one that an earlier release stored.
#[test]
fn a_digest_is_the_same_in_every_release() {
    let config = EdgeConfig::parse(FULL, "edge.toml").unwrap();
    assert_eq!(config.services_digest.unwrap(), "48b0464b9983089e");
    assert_eq!(services_digest(&[]), "09612b07b5ecb5a5");
}

#[test]
fn an_agent_file_names_edges_and_instances() {
    let text = r#"
version = 1
edges = ["10.1.0.0/24", "2001:db8:1::/64"]
peers = ["10.1.0.0/24"]
metrics_listen = "[::1]:9108"
[[instance]]
name = "web-1"
netns = "/run/netns/web-1"
vips = ["198.51.100.10", "2001:db8::10"]
[[instance]]
name = "web-2"
netns = "/run/netns/web-2"
interface = "lb0"
vips = ["198.51.100.10"]
"#;
    let config = AgentConfig::parse(text, "agent.toml").unwrap();
    assert_eq!(config.pin_dir, Path::new("/sys/fs/bpf/balancer-agent"));
    assert_eq!(config.metrics_listen, Some("[::1]:9108".parse().unwrap()));
    assert_eq!(
        config.peers,
        ["10.1.0.0/24".parse::<ipnet::IpNet>().unwrap()]
    );
    let edges: Vec<String> = config.edges.iter().map(|edge| edge.to_string()).collect();
    assert_eq!(edges, ["10.1.0.0/24", "2001:db8:1::/64"]);
    let [first, second] = config.instances.as_slice() else {
        panic!("two instances")
    };
    assert_eq!(
        (first.interface.as_str(), second.interface.as_str()),
        ("eth0", "lb0")
    );
    assert_eq!(first.netns, Path::new("/run/netns/web-1"));
    assert_eq!(first.vips.len(), 2);
}
