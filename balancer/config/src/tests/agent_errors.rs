//! What is wrong with an `agent.toml`: file, line, key, and what was expected.

use super::errors::{assert_error, unmark};
use crate::AgentConfig;

#[track_caller]
pub(super) fn agent(lines: &str, expected: &str) {
    let (line, text) = unmark(&format!("version = 1\n{lines}"));
    assert_error(
        AgentConfig::parse(&text, "a.toml"),
        &format!("a.toml:{line}: {expected}"),
    );
}

/// An agent's instance with these lines besides its name.
#[track_caller]
pub(super) fn instance(lines: &str, expected: &str) {
    agent(
        &format!("edges = [\"10.1.0.0/24\"]\n[[instance]]\nname = \"web-1\"\n{lines}"),
        expected,
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
    agent(
        "edges = [\"10.1.0.0/24\"]\npeers = [\"10.1.0.5/24\"]<-",
        "key `peers[0]`: 10.1.0.5/24 has bits set behind its prefix; expected \"10.1.0.0/24\"",
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
