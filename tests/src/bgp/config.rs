//! What a BIRD is told: built from parts, so that routers, edges and whoever answers BFD are each a few lines.

use std::net::{IpAddr, Ipv4Addr};

/// Quick detection: three lost packets of 50 ms each.
const BFD_TIMERS: &str = "min rx interval 50 ms; min tx interval 50 ms; multiplier 3;";

/// The other end of a session.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// What the session is called: letters, digits, `_`.
    pub name: String,
    /// Where it is.
    pub address: IpAddr,
    /// Its autonomous system.
    pub autonomous_system: u32,
    /// Whether BFD watches it.
    pub bfd: bool,
}

/// A configuration of BIRD 2.
#[derive(Clone, Debug)]
pub struct BirdConfig {
    autonomous_system: u32,
    hold_seconds: u32,
    text: String,
}

impl BirdConfig {
    /// Of a speaker with this router id and autonomous system.
    pub fn new(router_id: Ipv4Addr, autonomous_system: u32) -> BirdConfig {
        BirdConfig {
            autonomous_system,
            hold_seconds: 9,
            text: format!(
                "log stderr all;\nrouter id {router_id};\ndebug protocols {{ states }};\nprotocol device {{ }}\n"
            ),
        }
    }

    /// With another hold time of its sessions than 9 s.
    #[must_use]
    pub fn hold_seconds(self, hold_seconds: u32) -> BirdConfig {
        BirdConfig {
            hold_seconds,
            ..self
        }
    }

    /// What it learns goes into the kernel's routes, equal ways side by side.
    #[must_use]
    pub fn kernel(self) -> BirdConfig {
        let of = |family: &str| {
            format!(
                "protocol kernel {{ merge paths on limit 16; {family} {{ import none; \
                 export where source = RTS_BGP; }}; }}\n"
            )
        };
        let text = [of("ipv4"), of("ipv6")].concat();
        self.and(&text)
    }

    /// BFD on every link, with these neighbours besides those of sessions: for a speaker without BFD, beside it.
    #[must_use]
    pub fn bfd(self, neighbours: &[IpAddr]) -> BirdConfig {
        let neighbours: String = neighbours
            .iter()
            .map(|neighbour| format!(" neighbor {neighbour};"))
            .collect();
        let text = format!("protocol bfd {{ interface \"*\" {{ {BFD_TIMERS} }};{neighbours} }}\n");
        self.and(&text)
    }

    /// The host addresses of a link are known, for sessions that announce.
    #[must_use]
    pub fn addresses_of(self, link: &str) -> BirdConfig {
        let text = format!("protocol direct {{ ipv4; ipv6; interface \"{link}\"; }}\n");
        self.and(&text)
    }

    /// A session that only learns.
    #[must_use]
    pub fn learns_from(self, neighbour: &Neighbour) -> BirdConfig {
        self.session(neighbour, "import all; export none;")
    }

    /// A session that announces what lies in these prefixes, and learns nothing.
    #[must_use]
    pub fn announces_to(self, neighbour: &Neighbour, (ipv4, ipv6): (&str, &str)) -> BirdConfig {
        let channel = |family: &str, prefix: &str| {
            format!("{family} {{ import none; export where net ~ [ {prefix}+ ]; next hop self; }};")
        };
        let channels = [channel("ipv4", ipv4), channel("ipv6", ipv6)].concat();
        self.session_with(neighbour, &channels)
    }

    /// A session between routers of one network: each tells what it has learnt from edges, with itself
    /// as the next hop.
    #[must_use]
    pub fn exchanges_with(self, neighbour: &Neighbour) -> BirdConfig {
        // On a common link: without `direct` next hops would be looked up among routes that nobody has.
        let channel = "import all; export where source = RTS_BGP; next hop self;";
        self.session_with(
            neighbour,
            &format!("direct; ipv4 {{ {channel} }}; ipv6 {{ {channel} }};"),
        )
    }

    /// Any further text.
    #[must_use]
    pub fn and(mut self, text: &str) -> BirdConfig {
        self.text.push_str(text);
        self
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn session(self, neighbour: &Neighbour, channel: &str) -> BirdConfig {
        let channels = format!("ipv4 {{ {channel} }}; ipv6 {{ {channel} }};");
        self.session_with(neighbour, &channels)
    }

    fn session_with(self, neighbour: &Neighbour, channels: &str) -> BirdConfig {
        let Neighbour {
            name,
            address,
            autonomous_system,
            bfd,
        } = neighbour;
        let text = format!(
            "protocol bgp {name} {{ local as {}; neighbor {address} as {autonomous_system}; hold time {}; \
             connect delay time 1; connect retry time 1; error wait time 1,2;{} {channels} }}\n",
            self.autonomous_system,
            self.hold_seconds,
            if *bfd { " bfd on;" } else { "" },
        );
        self.and(&text)
    }
}
