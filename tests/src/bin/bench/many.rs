//! The services of the edge with many: 512 of IPv4 with eight backends each, one of IPv6.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// The services of IPv4, and the backends of each.
const SERVICES: u32 = 512;
const BACKENDS: u32 = 8;

const VIPS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const ADDRESSES: Ipv4Addr = Ipv4Addr::new(10, 16, 0, 0);

const HEAD: &str = r#"hash_key = "0123456789abcdef"

[[service]]
name = "v6-tcp"
vip = "2001:db8:1::1"
port = 80
encapsulation = "ip6ip6"
backend = [{ address = "fd00:16::1" }]
"#;

/// What `lbd edge` gets, with its interface and places in front.
pub(crate) fn configuration() -> String {
    let nth = |first: Ipv4Addr, nth: u32| Ipv4Addr::from(u32::from(first) + nth);
    let mut text = HEAD.to_owned();
    for service in 0..SERVICES {
        let vip = nth(VIPS, service);
        let backends: Vec<String> = (service * BACKENDS..(service + 1) * BACKENDS)
            .map(|backend| format!("{{ address = \"{}\" }}", nth(ADDRESSES, backend)))
            .collect();
        let backends = backends.join(", ");
        let _ = write!(
            text,
            "\n[[service]]\nname = \"v4-tcp-{service}\"\nvip = \"{vip}\"\nport = 80\nencapsulation = \"ipip\"\nbackend = [{backends}]\n"
        );
    }
    text
}
