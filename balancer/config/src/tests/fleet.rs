//! `fleet.toml`: the documentation's, and each thing that can be wrong with one.

use super::{
    errors::{assert_error, unmark},
    *,
};

use balancer_core::model::Endpoint;

const FLEET: &str = include_str!("../../../../docs/examples/fleet.toml");

/// A fleet of one site that lacks nothing, with these lines more in one of its tables.
const SMALL: &str = "version = 1
[vip_pool]
ipv4 = [\"198.51.100.0/28\"]
[[site]]
city = \"SEA\"
api = \"unix:/run/site.sock\"
[[site.edge]]
name = \"edge\"
api = \"http://127.0.0.1:9108\"
[[site.host]]
name = \"host\"
runtime = \"builtin\"
network = { bridge = \"br0\", subnet = \"10.1.0.0/24\" }
agent = \"http://[::1]:9109\"
";

/// `SMALL` with `was` replaced by `is`; the marked line is the one named.
#[track_caller]
fn changed(was: &str, is: &str, expected: &str) {
    assert!(SMALL.contains(was), "{was}");
    let (line, text) = unmark(&SMALL.replacen(was, is, 1));
    let expected = format!("fleet.toml:{line}: {expected}");
    assert_error(FleetConfig::parse(&text, "fleet.toml"), &expected);
}

#[test]
fn the_documented_fleet_says_everything() {
    let fleet = FleetConfig::parse(FLEET, "fleet.toml").unwrap();
    assert_eq!(fleet.file, "fleet.toml");
    assert_eq!(fleet.vip_pool.line, 5);
    assert_eq!(fleet.vip_pool.ipv4, ["198.51.100.0/28".parse().unwrap()]);
    assert_eq!(fleet.vip_pool.ipv6, ["2001:db8:100::/64".parse().unwrap()]);
    let [sea, dfw] = fleet.sites.as_slice() else {
        panic!("two sites")
    };
    assert_eq!((sea.city.as_str(), dfw.city.as_str()), ("SEA", "DFW"));
    assert_eq!(
        sea.api,
        Endpoint::Unix("/run/balancer/site-sea.sock".into())
    );
    assert_eq!(dfw.api.to_string(), "http://10.2.0.5:9110");
    assert_eq!(
        dfw.token_file.as_deref(),
        Some(Path::new("/etc/balancer/site.token"))
    );
    assert_eq!(sea.edges[0].name, "sea-edge-1");
    assert_eq!(sea.edges[0].api.to_string(), "http://10.1.0.2:9108");
    let host = &sea.hosts[0];
    let engine = Endpoint::Unix("/var/run/docker.sock".into());
    assert_eq!(host.runtime, RuntimeKind::Docker { engine });
    assert_eq!(
        (host.network.bridge.as_str(), host.network.mtu),
        ("balancer0", 1_600)
    );
    assert_eq!(host.network.gateway.to_string(), "10.1.16.1");
    let host = &dfw.hosts[0];
    assert_eq!(host.runtime, RuntimeKind::Builtin);
    assert_eq!(host.instance_dir, Path::new("/run/balancer/instances.d"));
    assert_eq!(host.network.gateway.to_string(), "10.2.16.1");
    assert_eq!(
        host.network.gateway6.unwrap().to_string(),
        "2001:db8:2:16::1"
    );
    assert_eq!(fleet.site(&"DFW".parse().unwrap()), Some(dfw));
    assert_eq!(fleet.site(&"AMS".parse().unwrap()), None);
}

#[test]
fn a_fleet_without_a_pool_is_read_and_has_no_addresses() {
    let text = SMALL.replace("[vip_pool]\nipv4 = [\"198.51.100.0/28\"]\n", "");
    let fleet = FleetConfig::parse(&text, "fleet.toml").unwrap();
    assert!(fleet.vip_pool.ipv4.is_empty() && fleet.vip_pool.ipv6.is_empty());
}

#[test]
fn the_same_name_twice() {
    let first = &SMALL[SMALL.find("[[site]]").unwrap()..];
    let again = "there is another";
    let expected = "expected a name of its own, such as \"sea-1\"";
    for (names, problem) in [
        (
            ["\"SEA\"<-", "\"edge\"", "\"host\""],
            "city`: SEA has a site already; expected one site a city".to_owned(),
        ),
        (
            ["\"DFW\"", "\"edge\"<-", "\"host\""],
            format!("edge[0].name`: {again} \"edge\"; {expected}"),
        ),
        (
            ["\"DFW\"", "\"edge-2\"", "\"host\"<-"],
            format!("host[0].name`: {again} \"host\"; {expected}"),
        ),
    ] {
        let mut second = first.to_owned();
        for (was, is) in ["\"SEA\"", "\"edge\"", "\"host\""].iter().zip(names) {
            second = second.replace(was, is);
        }
        let (line, text) = unmark(&format!("{SMALL}{second}"));
        assert_error(
            FleetConfig::parse(&text, "fleet.toml"),
            &format!("fleet.toml:{line}: key `site[1].{problem}"),
        );
    }
}

#[test]
fn a_pool_that_cannot_be() {
    for (is, expected) in [
        (
            "\"198.51.100.1/28\"<-",
            "[0]`: 198.51.100.1/28 has bits set behind its prefix; expected \"198.51.100.0/28\"",
        ),
        (
            "\"198.51.100.0/28\", \"198.51.100.8/32\"<-",
            "[1]`: 198.51.100.8/32 overlaps 198.51.100.0/28; expected each address once",
        ),
        (
            "\"127.0.0.0/8\"<-",
            "[0]`: 127.0.0.0 is a loopback address; expected an address that routers can lead to this edge",
        ),
        (
            "\"2001:db8::/64\"<-",
            "[0]`: 2001:db8::/64; expected ipv4: \"198.51.100.0/28\"",
        ),
        (
            "\"198.51.100.0\"<-",
            "[0]`: \"198.51.100.0\": invalid IP address syntax; expected a prefix such as \"198.51.100.0/28\"",
        ),
    ] {
        changed(
            "\"198.51.100.0/28\"",
            is,
            &format!("key `vip_pool.ipv4{expected}"),
        );
    }
}

#[test]
fn a_site_that_cannot_be() {
    changed(
        "city = \"SEA\"",
        "city = \"Seattle\"<-",
        "key `site[0].city`: \"Seattle\": \"Seattle\" is no city code; expected three letters A-Z, such as \"SEA\"",
    );
    changed(
        "\"unix:/run/site.sock\"",
        "\"/run/site.sock\"<-",
        "key `site[0].api`: \"/run/site.sock\": \"/run/site.sock\" is no endpoint; expected \"unix:/path\" or \"http://host:port\"",
    );
    changed(
        "[[site]]\ncity = \"SEA\"\napi = \"unix:/run/site.sock\"",
        "[[site]]<-\ncity = \"SEA\"\napi = \"http://10.0.0.1:9110\"",
        "key `site[0].token_file`: it is missing, and `api` is on another host; expected the path of a file that holds the token",
    );
    changed(
        "[[site.edge]]\nname = \"edge\"\napi = \"http://127.0.0.1:9108\"",
        "edge = []<-",
        "key `site[0].edge`: a site without edges serves nobody; expected at least one",
    );
    changed(
        "city = \"SEA\"",
        "city = \"SEA\"\nzone = 1<-",
        "key `site[0].zone`: there is no such key; expected only city, api, token_file, edge, host",
    );
}

#[test]
fn a_host_that_cannot_be() {
    let network = "{ bridge = \"br0\", subnet = \"10.1.0.0/24\" }";
    for (is, expected) in [
        (
            "{ bridge = \"br0\" }<-",
            ".subnet`: it is missing; expected a prefix such as \"10.2.1.0/24\"",
        ),
        (
            "{ bridge = \"br 0\", subnet = \"10.1.0.0/24\" }<-",
            ".bridge`: \"br 0\" can be no interface's name; expected an interface's name, such as \"eth0\"",
        ),
        (
            "{ bridge = \"br0\", subnet = \"10.1.0.0/31\" }<-",
            ".subnet`: it has no room for instances; expected /30 or shorter",
        ),
        (
            "{ bridge = \"br0\", subnet = \"198.51.0.0/16\" }<-",
            ".subnet`: 198.51.0.0/16 overlaps 198.51.100.0/28; expected addresses that no other host of the site has, and no VIP",
        ),
        (
            "{ bridge = \"br0\", subnet = \"10.1.0.0/24\", gateway = \"10.1.0.255\" }<-",
            ".gateway`: 10.1.0.255 is no host's address in 10.1.0.0/24; expected an address of the subnet",
        ),
        (
            "{ bridge = \"br0\", subnet = \"10.1.0.0/24\", gateway6 = \"::1\" }<-",
            ".gateway6`: there is no `subnet6` that it would be in; expected both, or neither",
        ),
        (
            "{ bridge = \"br0\", subnet = \"10.1.0.0/24\", mtu = 576 }<-",
            ".mtu`: 576 is out of range; expected 1280 to 3506",
        ),
        (
            "{ bridge = \"br0\", subnet = \"10.1.0.0/24\", mtu = 9000 }<-",
            ".mtu`: 9000 is out of range; expected 1280 to 3506",
        ),
    ] {
        changed(
            network,
            is,
            &format!("key `site[0].host[0].network{expected}"),
        );
    }
    changed(
        "runtime = \"builtin\"",
        "runtime = \"podman\"<-",
        "key `site[0].host[0].runtime`: \"podman\"; expected \"docker\" or \"builtin\"",
    );
    changed(
        "runtime = \"builtin\"",
        "runtime = \"builtin\"\nengine = \"unix:/run/docker.sock\"<-",
        "key `site[0].host[0].engine`: the built-in runtime has no engine; expected it with runtime = \"docker\" only",
    );
    let host = SMALL[SMALL.find("[[site.host]]").unwrap()..].replace("\"host\"", "\"host-2\"");
    let text = format!(
        "{SMALL}{}",
        host.replace("\"10.1.0.0/24\" }", "\"10.1.0.0/16\" }<-")
    );
    let (line, text) = unmark(&text);
    assert_error(
        FleetConfig::parse(&text, "fleet.toml"),
        &format!(
            "fleet.toml:{line}: key `site[0].host[1].network.subnet`: 10.1.0.0/16 overlaps 10.1.0.0/24; expected addresses that no other host of the site has, and no VIP"
        ),
    );
}

#[test]
fn a_fleet_cut_off_anywhere_never_panics() {
    let lines = FLEET.lines().count();
    for length in 0..FLEET.len() {
        if let Err(error) = FleetConfig::parse(&FLEET[..length], "fleet.toml") {
            assert!(
                (1..=lines).contains(&error.line),
                "cut off at {length}: {error}"
            );
        }
    }
}
