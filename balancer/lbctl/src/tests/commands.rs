//! What commands do and say.

use std::{fs, sync::atomic::Ordering};

use balancer_api::{
    testing::{
        daemon::{Daemon, Manner},
        samples::{add, busy, dns, web},
    },
    views::XdpAttachment,
};
use serde_json::Value;

use super::Operated;

#[test]
fn the_status_is_told_in_full() {
    let daemon = Daemon::start(Manner::Shows(busy()));
    assert_eq!(
        daemon.prints("status"),
        "\
WARNING: backend 10.1.0.11 has no next hop
interface   eth0
attached    native, program 42, taken over as it ran
generation  1,007
uptime      3 h 12 min
services    2
backends    3
announced   1 of 2 VIPs, by gobgp at 127.0.0.1:50051
version     0.1.0 (ABI 1)

REASON         VERDICT    PACKETS
echo_answered  answer   1,234,567
not_for_vip    pass            89
"
    );
    assert!(
        daemon
            .prints("status --all")
            .ends_with("undeclared_port  drop             0\n")
    );
}

// Promise: O4
#[test]
fn a_slow_or_missing_program_is_told_loudly() {
    let mut snapshot = busy();
    snapshot.status.reasons.clear();
    for (mode, warning, attached) in [
        (
            XdpAttachment::Generic,
            "WARNING: GENERIC mode on eth0: packets take the slow path",
            "generic, program 42",
        ),
        (
            XdpAttachment::Detached,
            "WARNING: DETACHED: no XDP program is on eth0, this edge balances nothing",
            "DETACHED",
        ),
    ] {
        snapshot.status.xdp_mode = mode;
        snapshot.status.interfaces[0].xdp_mode = mode;
        let text = Daemon::start(Manner::Shows(snapshot.clone())).prints("status");
        assert!(text.starts_with(warning), "{text}");
        assert!(
            text.contains(&format!("\nattached    {attached}")),
            "{text}"
        );
        assert!(text.ends_with("\n\nno packets yet\n"), "{text}");
    }
}

#[test]
fn services_stand_in_columns() {
    let daemon = Daemon::start(Manner::Shows(busy()));
    assert_eq!(
        daemon.prints("services list"),
        "\
SERVICE  PACKETS TO              ENCAPSULATION  ACTIVE  SLOTS  GENERATION    PACKETS    BYTES  CHECK
dns      [2001:db8::53]:53/udp   ip6ip6         0 of 1    256           7          0      0 B  -
web      198.51.100.10:8000/tcp  gue            1 of 2  1,024       1,007  1,234,567  3.3 GiB  http :8000/ every 1000 ms
WARNING: dns FAILS OPEN: none of its backends is usable, so all get packets
"
    );
}

#[test]
fn backends_stand_in_columns() {
    let daemon = Daemon::start(Manner::Shows(busy()));
    assert_eq!(
        daemon.prints("backends list"),
        "\
SERVICE  BACKEND         STATE     HEALTH   WEIGHT  SLOTS    PACKETS    BYTES  NEXT HOP                    LAST CHECK
dns      2001:db8:1::10  down      unknown       1    256          0      0 B  02:00:00:00:00:01 dev eth0  -
web      10.1.0.10       active    up        1,000  1,024  1,234,000  3.3 GiB  02:00:00:00:00:02 dev eth0  -
web      10.1.0.11       draining  down          1      0        567    567 B  none                        connection refused
"
    );
    assert_eq!(daemon.prints("backends list web").lines().count(), 3);
}

#[test]
fn json_has_version_generation_and_items() {
    let daemon = Daemon::start(Manner::Shows(busy()));
    for (line, items) in [
        ("status", 1),
        ("services list", 2),
        ("backends list", 3),
        ("backends list web", 2),
    ] {
        let reply: Value =
            serde_json::from_str(&daemon.prints(&format!("{line} -o json"))).unwrap();
        assert_eq!(
            (&reply["api_version"], &reply["generation"]),
            (&"v1".into(), &1_007.into())
        );
        assert_eq!(reply["items"].as_array().unwrap().len(), items, "{line}");
    }
}

#[test]
fn an_empty_edge_says_what_to_do() {
    let daemon = Daemon::with(vec![]);
    assert_eq!(
        daemon.prints("services list"),
        "no services; `lbctl services add` adds one\n"
    );
    assert_eq!(
        daemon.prints("backends list"),
        "no backends; `lbctl backends add` adds one\n"
    );
}

#[test]
fn each_change_says_in_a_line_what_it_did() {
    let daemon = Daemon::with(vec![]);
    for (line, says) in [
        (
            "services add web --vip 198.51.100.10 --port 8000 --check http",
            "web: service 198.51.100.10:8000/tcp added, generation 1, 0 of 256 slots move (minimum 0)\n",
        ),
        (
            "services add dns --vip [2001:db8::53] --port 53 --protocol udp --encapsulation ip6ip6 --hash source",
            "dns: service [2001:db8::53]:53/udp added, generation 2, 0 of 256 slots move (minimum 0)\n",
        ),
        (
            "backends add web 10.1.0.10",
            "web: backend 10.1.0.10 added, generation 3, 256 of 256 slots move (minimum 256)\n",
        ),
        (
            "backends add web [2001:db8:1::10] --weight 3",
            "web: backend 2001:db8:1::10 added, generation 4, 192 of 256 slots move (minimum 192)\n",
        ),
        (
            "backends weight web 10.1.0.10 3",
            "web: backend 10.1.0.10 has weight 3, generation 5, 64 of 256 slots move (minimum 64)\n",
        ),
        (
            "backends weight web 10.1.0.10 3",
            "web: nothing to change, generation 5\n",
        ),
        (
            "--dry-run backends weight web 10.1.0.10 3",
            "web: nothing would change\n",
        ),
        (
            "--dry-run backends drain web 10.1.0.10",
            "web: backend 10.1.0.10 would drain, 128 of 256 slots (50.00 %) would move, \
             the minimum possible is 128 (50.00 %); nothing was changed\n",
        ),
        (
            "backends drain web 10.1.0.10",
            "web: backend 10.1.0.10 drains, generation 6, 128 of 256 slots move (minimum 128)\n",
        ),
        (
            "backends remove web 10.1.0.10 --now",
            "web: backend 10.1.0.10 removed, generation 7, 0 of 256 slots move (minimum 0)\n",
        ),
        (
            "services remove dns",
            "dns: service removed, generation 8, no slots move\n",
        ),
    ] {
        assert_eq!(daemon.prints(line), says, "lbctl {line}");
    }
}

#[test]
fn removals_that_take_time_say_so() {
    let daemon = Daemon::with(vec![add(web(&["10.1.0.10", "10.1.0.11"]))]);
    let text = daemon.prints("backends remove web 10.1.0.10");
    assert!(
        text.starts_with("web: backend 10.1.0.10 drains and is then removed, generation 2,"),
        "{text}"
    );
    assert!(text.contains("\nnote: "), "{text}");
    let text = daemon.prints("services remove web --force --dry-run");
    assert!(
        text.starts_with("web: service would drain and then be removed, "),
        "{text}"
    );
    let text = daemon.prints("services remove web --force --now --dry-run");
    assert!(
        text.starts_with("web: service would be removed, "),
        "{text}"
    );
    let text = daemon.prints("services remove web --force");
    assert!(
        text.starts_with("web: service drains and is then removed, generation 3, "),
        "{text}"
    );
}

#[test]
fn the_options_of_a_check_reach_the_daemon() {
    let daemon = Daemon::with(vec![]);
    let line = "services add web --vip 198.51.100.10 --port 8000 --check http --check-path healthz";
    let ran = daemon.lbctl(line);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("check.path: \"healthz\""), "{ran:?}");
    for (option, key) in [
        (
            "--check-path /a --interval-ms 400 --timeout-ms 401",
            "check.timeout_ms: 401 ms with an interval of 400 ms",
        ),
        ("--timeout-ms 1001", "check.timeout_ms: 1001 ms"),
        ("--rise 0", "check.rise"),
        ("--fall 0", "check.fall"),
    ] {
        let ran = daemon.lbctl(&format!(
            "services add web --vip 198.51.100.10 --port 8000 --check http {option}"
        ));
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains(key), "{option}: {ran:?}");
    }
}

#[test]
fn a_short_interval_shortens_the_timeout_that_nobody_asked_for() {
    let daemon = Daemon::with(vec![]);
    let line = "services add web --vip 198.51.100.10 --port 8000 --check tcp --interval-ms 200";
    let ran = daemon.lbctl(line);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_wait_ends_when_the_backend_is_gone() {
    let mut body = web(&["10.1.0.10", "10.1.0.11"]);
    body.drain_timeout_ms = 300;
    let daemon = Daemon::with(vec![add(body)]);
    let text = daemon.prints("backends remove web 10.1.0.10 --wait 60");
    assert!(text.ends_with("web: backend 10.1.0.10 is gone\n"), "{text}");
    assert!(!daemon.prints("backends list").contains("10.1.0.10"));
}

#[test]
fn a_wait_that_takes_too_long_is_given_up() {
    let daemon = Daemon::with(vec![add(web(&["10.1.0.10", "10.1.0.11"]))]);
    let ran = daemon.lbctl("backends remove web 10.1.0.10 --wait 0");
    assert_eq!(ran.code, 8, "{ran:?}");
    assert!(
        ran.out.starts_with("web: backend 10.1.0.10 drains"),
        "{ran:?}"
    );
    assert!(
        ran.err
            .contains("backend 10.1.0.10 is still there after 0 s"),
        "{ran:?}"
    );
}

#[test]
fn a_dry_run_does_not_wait() {
    let daemon = Daemon::with(vec![add(web(&["10.1.0.10", "10.1.0.11"]))]);
    let text = daemon.prints("--dry-run backends remove web 10.1.0.10 --wait 0");
    assert!(text.contains("nothing was changed"), "{text}");
}

#[test]
fn a_file_is_applied_as_a_whole() {
    let daemon = Daemon::with(vec![add(dns(&[]))]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("services.toml");
    let text = "\
version = 1
[[service]]
name = \"web\"
vip = \"198.51.100.10\"
port = 8000
check = { type = \"http\", path = \"/healthz\" }
[[service.backend]]
address = \"10.1.0.10\"
";
    fs::write(&file, text).unwrap();
    let file = file.display();
    let says = daemon.prints(&format!("--dry-run apply -f {file}"));
    assert!(
        says.starts_with(&format!(
            "{file}: 1 service would be applied, 256 of 256 slots (100.00 %)"
        )),
        "{says}"
    );
    let says = daemon.prints(&format!("apply -f {file}"));
    assert!(
        says.starts_with(&format!("{file}: 1 service applied, generation 2, ")),
        "{says}"
    );
    let services = daemon.prints("services list");
    assert!(
        services.contains("web") && !services.contains("dns"),
        "{services}"
    );
    let says = daemon.prints(&format!("apply -f {file}"));
    assert_eq!(says, format!("{file}: nothing to change, generation 2\n"));
}

#[test]
fn a_drained_edge_says_so_and_waits_until_nothing_is_announced() {
    let daemon = Daemon::with(vec![]);
    assert_eq!(
        daemon.prints("edge drain --wait 10"),
        "edge: drained, routers are told of no VIP any more, generation 0, no slots move\n\
         edge: every VIP is withdrawn\n"
    );
    assert_eq!(
        daemon.prints("edge status"),
        "drained     yes\n\
         speaker     none; add a section [announce] to edge.toml, and routers are told of VIPs\n"
    );
    assert_eq!(
        daemon.prints("edge drain"),
        "edge: nothing to change, generation 0\n"
    );
    assert_eq!(
        daemon.prints("edge undrain"),
        "edge: undrained, routers are told of the VIPs that it can serve, generation 0, no slots move\n"
    );
    let stubborn = Daemon::start(Manner::Announces(busy()));
    let ran = stubborn.lbctl("edge drain --wait 1");
    assert_eq!(ran.code, 8, "{ran:?}");
    assert!(
        ran.err.contains("VIPs are still announced after 1 s"),
        "{ran:?}"
    );
}

#[test]
fn every_vip_is_shown_with_why_it_is_not_announced() {
    let mut snapshot = busy();
    if let Some(announce) = &mut snapshot.status.announce {
        announce.error = Some("no answer within 2 s".to_owned());
    }
    assert_eq!(
        Daemon::start(Manner::Shows(snapshot)).prints("edge status"),
        "\
drained     no
speaker     gobgp at 127.0.0.1:50051
error       no answer within 2 s

VIP            ANNOUNCED  WHY NOT
198.51.100.10  yes        -
2001:db8::53   no         none of its services has a usable backend
"
    );
}

#[test]
fn detaching_says_what_that_means() {
    let daemon = Daemon::with(vec![]);
    assert_eq!(
        daemon.prints("--dry-run detach"),
        "eth0: the native program 42 would be detached, and this edge would balance nothing; nothing was changed\n"
    );
    assert!(!daemon.detached.load(Ordering::SeqCst));
    assert_eq!(
        daemon.prints("detach"),
        "eth0: the native program 42 is detached, this edge balances nothing; `systemctl restart lbd` attaches it again\n"
    );
    assert!(daemon.detached.load(Ordering::SeqCst));
}
