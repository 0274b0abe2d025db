//! `bench/many.toml` as it is made: too long to be read, or to be changed by hand.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

/// The services of IPv4, and the backends of each.
const SERVICES: u32 = 512;
const BACKENDS: u32 = 8;

const VIPS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const ADDRESSES: Ipv4Addr = Ipv4Addr::new(10, 16, 0, 0);

const HEAD: &str = r#"# The edge of the case with many services: 512 of IPv4 with eight backends each, one of IPv6.
# `lbd edge` gets it as it is, with its interface and places in front.

hash_key = "0123456789abcdef"

[[service]]
name = "v6-tcp"
vip = "2001:db8:1::1"
port = 80
encapsulation = "ip6ip6"
backend = [{ address = "fd00:16::1" }]
"#;

fn text() -> String {
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

/// With `BALANCER_WRITE` set, writes the file in place of comparing it.
#[test]
fn the_file_is_what_is_made() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/many.toml");
    if std::env::var_os("BALANCER_WRITE").is_some() {
        std::fs::write(&file, text()).expect("the file is written");
    }
    let file = std::fs::read_to_string(&file).expect("the file is there");
    let differs = file
        .lines()
        .zip(text().lines())
        .position(|(is, made)| is != made);
    assert_eq!(differs, None, "the first line that differs");
    assert_eq!(file.len(), text().len());
}
