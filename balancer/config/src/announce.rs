//! The section `[announce]` of `edge.toml`: who tells routers of the VIPs.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use balancer_core::model::{Community, Gobgp, OnStop, Speaker, WhenUnhealthy};

use super::{
    ConfigError,
    edge::{interface, source_address},
    section::{Section, Value},
};

/// The checked content of `[announce]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceConfig {
    /// Who announces.
    pub speaker: Speaker,
    /// What becomes of a VIP without a usable backend.
    pub when_unhealthy: WhenUnhealthy,
    /// What becomes of the VIPs when the daemon is told to stop.
    pub on_stop: OnStop,
    /// How long the data plane goes on for packets under way once the VIPs are withdrawn, before the
    /// daemon stops or detaches, in seconds.
    pub stop_grace_seconds: u32,
    /// How long the daemon may be dead before the guard withdraws, in seconds.
    pub guard_seconds: u32,
}

const GOBGP: &str = "127.0.0.1:50051";
const STOP_GRACE_SECONDS: u32 = 2;
const GUARD_SECONDS: u32 = 10;

/// What each speaker takes; `local` leaves the rest to the routing daemon's own configuration.
const COMMON: [&str; 6] = [
    "speaker",
    "when_unhealthy",
    "on_stop",
    "stop_grace_seconds",
    "guard_seconds",
    "link",
];
const OF_GOBGP: [&str; 10] = [
    "speaker",
    "when_unhealthy",
    "on_stop",
    "stop_grace_seconds",
    "guard_seconds",
    "address",
    "next_hop_ipv4",
    "next_hop_ipv6",
    "communities",
    "med",
];
const ALL: [&str; 11] = [
    "speaker",
    "when_unhealthy",
    "on_stop",
    "stop_grace_seconds",
    "guard_seconds",
    "link",
    "address",
    "next_hop_ipv4",
    "next_hop_ipv6",
    "communities",
    "med",
];

#[derive(Clone, Copy)]
enum Kind {
    Gobgp,
    Local,
}

/// Reads the section.
pub(super) fn announce(value: &Value<'_>) -> Result<AnnounceConfig, ConfigError> {
    let expected = "a table such as [announce]";
    let section = value.section(&ALL, expected)?;
    let kind = section.required("speaker", "\"gobgp\" or \"local\"")?;
    let speaker = match kind.word(&[("gobgp", Kind::Gobgp), ("local", Kind::Local)])? {
        Kind::Gobgp => Speaker::Gobgp(gobgp(&value.section(&OF_GOBGP, expected)?)?),
        Kind::Local => {
            let section = value.section(&COMMON, expected)?;
            Speaker::Local {
                link: match section.get("link") {
                    Some(link) => interface(&link)?,
                    None => "lo".to_owned(),
                },
            }
        }
    };
    Ok(AnnounceConfig {
        speaker,
        when_unhealthy: match section.get("when_unhealthy") {
            Some(value) => value.word(&[
                ("withdraw", WhenUnhealthy::Withdraw),
                ("announce", WhenUnhealthy::Announce),
            ])?,
            None => WhenUnhealthy::default(),
        },
        on_stop: match section.get("on_stop") {
            Some(value) => value.word(&[("withdraw", OnStop::Withdraw), ("keep", OnStop::Keep)])?,
            None => OnStop::default(),
        },
        stop_grace_seconds: seconds(&section, "stop_grace_seconds", 0..=60, STOP_GRACE_SECONDS)?,
        guard_seconds: seconds(&section, "guard_seconds", 1..=3_600, GUARD_SECONDS)?,
    })
}

fn gobgp(section: &Section<'_>) -> Result<Gobgp, ConfigError> {
    let expected = "an address and a port, such as \"127.0.0.1:50051\"";
    let address: SocketAddr = match section.get("address") {
        Some(value) => value.parse(expected)?,
        None => GOBGP.parse().expect("a constant address"),
    };
    if address.port() == 0 {
        return Err(section.error("address", "nothing listens on port 0".into(), expected));
    }
    let mut communities = Vec::new();
    if let Some(value) = section.get("communities") {
        for each in value.array("an array such as [\"65000:100\"]")? {
            communities.push(each.parse::<Community>("a community such as \"65000:100\"")?);
        }
    }
    // As routers keep them, so that what they give back can be compared.
    communities.sort_unstable();
    communities.dedup();
    Ok(Gobgp {
        address,
        next_hop_ipv4: source_address::<Ipv4Addr>(
            section,
            "next_hop_ipv4",
            "an IPv4 address in quotes",
        )?,
        next_hop_ipv6: source_address::<Ipv6Addr>(
            section,
            "next_hop_ipv6",
            "an IPv6 address in quotes",
        )?,
        communities,
        med: section
            .get("med")
            .map(|value| value.integer("a number up to 4294967295"))
            .transpose()?,
    })
}

fn seconds(
    section: &Section<'_>,
    key: &str,
    range: std::ops::RangeInclusive<u32>,
    otherwise: u32,
) -> Result<u32, ConfigError> {
    let Some(value) = section.get(key) else {
        return Ok(otherwise);
    };
    let expected = format!("{} to {} seconds", range.start(), range.end());
    let seconds: u32 = value.integer(&expected)?;
    match range.contains(&seconds) {
        true => Ok(seconds),
        false => Err(value.error(format!("{seconds}"), &expected)),
    }
}
