//! The section `[announce]`.

use balancer_core::model::{Community, Gobgp, OnStop, Speaker, WhenUnhealthy};

use super::errors::{assert_error, unmark};
use super::*;

fn parse(lines: &str) -> Result<AnnounceConfig, ConfigError> {
    let text = format!("version = 1\ninterface = \"eth0\"\n[announce]\n{lines}");
    EdgeConfig::parse(&text, "e.toml").map(|config| config.announce.expect("a section"))
}

#[track_caller]
fn refused(lines: &str, expected: &str) {
    let (line, text) = unmark(lines);
    assert_error(parse(&text), &format!("e.toml:{}: {expected}", line + 3));
}

#[test]
fn a_full_section_says_everything() {
    let config = parse(
        "speaker = \"gobgp\"\naddress = \"[::1]:50052\"\nnext_hop_ipv4 = \"10.1.0.2\"\n\
         next_hop_ipv6 = \"fd00:1::2\"\ncommunities = [\"65000:200\", \"65000:100\"]\nmed = 50\n\
         when_unhealthy = \"announce\"\non_stop = \"keep\"\nstop_grace_seconds = 0\nguard_seconds = 3",
    );
    let expected = AnnounceConfig {
        speaker: Speaker::Gobgp(Gobgp {
            address: "[::1]:50052".parse().unwrap(),
            next_hop_ipv4: Some("10.1.0.2".parse().unwrap()),
            next_hop_ipv6: Some("fd00:1::2".parse().unwrap()),
            communities: vec![Community(65_000 << 16 | 100), Community(65_000 << 16 | 200)],
            med: Some(50),
        }),
        when_unhealthy: WhenUnhealthy::Announce,
        on_stop: OnStop::Keep,
        stop_grace_seconds: 0,
        guard_seconds: 3,
    };
    assert_eq!(config, Ok(expected));
}

#[test]
fn a_short_section_has_defaults() {
    let config = parse("speaker = \"gobgp\"").unwrap();
    let Speaker::Gobgp(gobgp) = &config.speaker else {
        panic!("{config:?}")
    };
    assert_eq!(gobgp.address, "127.0.0.1:50051".parse().unwrap());
    assert_eq!((gobgp.med, gobgp.communities.len()), (None, 0));
    assert_eq!(config.when_unhealthy, WhenUnhealthy::Withdraw);
    assert_eq!(config.on_stop, OnStop::Withdraw);
    assert_eq!((config.stop_grace_seconds, config.guard_seconds), (2, 10));

    let config = parse("speaker = \"local\"").unwrap();
    assert_eq!(config.speaker, Speaker::Local { link: "lo".into() });
}

#[test]
fn what_a_section_cannot_say() {
    assert_error(
        parse("link = \"lo\""),
        "e.toml:3: key `announce.speaker`: it is missing; expected \"gobgp\" or \"local\"",
    );
    refused(
        "speaker = \"bird\"<-",
        "key `announce.speaker`: \"bird\"; expected \"gobgp\" or \"local\"",
    );
    refused(
        "speaker = \"local\"\nmed = 5<-",
        "key `announce.med`: there is no such key; expected only speaker, when_unhealthy, on_stop, \
         stop_grace_seconds, guard_seconds, link",
    );
    refused(
        "speaker = \"gobgp\"\nlink = \"lo\"<-",
        "key `announce.link`: there is no such key; expected only speaker, when_unhealthy, on_stop, \
         stop_grace_seconds, guard_seconds, address, next_hop_ipv4, next_hop_ipv6, communities, med",
    );
    refused(
        "speaker = \"gobgp\"\ncommunities = [\"65000:70000\"]<-",
        "key `announce.communities[0]`: \"65000:70000\": it is not two numbers up to 65535 with a colon \
         between them; expected a community such as \"65000:100\"",
    );
    refused(
        "speaker = \"gobgp\"\nnext_hop_ipv4 = \"127.0.0.1\"<-",
        "key `announce.next_hop_ipv4`: 127.0.0.1 is a loopback address; expected an address of this edge",
    );
    refused(
        "speaker = \"gobgp\"\nguard_seconds = 0<-",
        "key `announce.guard_seconds`: 0; expected 1 to 3600 seconds",
    );
    refused(
        "speaker = \"gobgp\"\naddress = \"127.0.0.1:0\"<-",
        "key `announce.address`: nothing listens on port 0; expected an address and a port, such as \
         \"127.0.0.1:50051\"",
    );
}
