//! What `docs/reference.md` says of services, checks and backends, and what files say when a value is wrong, for every key.

use balancer_core::model::{Check, Encapsulation, HashPolicy, Http, Protocol, Service, Weight};

use super::service_errors::refused;

const REFERENCE: &str = include_str!("../../../../docs/reference.md");

/// The keys of a table of the reference, and their defaults.
fn rows(heading: &str) -> Vec<(&'static str, &'static str)> {
    let section = REFERENCE.split(heading).nth(1).expect("the heading");
    let lines = section.lines().skip_while(|line| !line.starts_with("|---"));
    let lines = lines.skip(1).take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
            let key = cells.next().unwrap().trim_matches('`');
            (key, cells.next().unwrap())
        })
        .collect()
}

/// The keys that a file may have where it has one that nobody knows.
fn keys(lines: &str) -> Vec<String> {
    let expected = refused(lines).expected;
    let keys = expected.strip_prefix("only ").expect("an unknown key");
    keys.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_reference_has_every_key_and_its_default() {
    let timeout = format!("{}, or `interval_ms` if that is shorter", Check::TIMEOUT_MS);
    let service = [
        ("name", "required".to_owned()),
        ("vip", "required".to_owned()),
        ("port", "required".to_owned()),
        ("protocol", format!("`\"{}\"`", Protocol::default())),
        (
            "encapsulation",
            format!("`\"{}\"`", Encapsulation::default()),
        ),
        ("hash", format!("`\"{}\"`", HashPolicy::default())),
        ("check", "none".to_owned()),
        ("drain_timeout_ms", Service::DRAIN_TIMEOUT_MS.to_string()),
        ("backend", "none".to_owned()),
    ];
    let check = [
        ("type", "required".to_owned()),
        ("path", format!("`\"{}\"`", Http::PATH)),
        ("port", "the service's".to_owned()),
        ("interval_ms", Check::INTERVAL_MS.to_string()),
        ("timeout_ms", timeout),
        ("rise", Check::RISE.to_string()),
        ("fall", Check::FALL.to_string()),
    ];
    let backend = [
        ("address", "required".to_owned()),
        ("weight", Weight::default().to_string()),
    ];
    for (heading, defaults, in_files) in [
        ("\n### service\n", &service[..], "zone = 1"),
        (
            "\n### check\n",
            &check[..],
            "check = { type = \"tcp\", zone = 1 }",
        ),
        ("\n### backend\n", &backend[..], "backend = [{ zone = 1 }]"),
    ] {
        let documented: Vec<_> = rows(heading).into_iter().collect();
        let defaults: Vec<_> = defaults
            .iter()
            .map(|(key, text)| (*key, text.as_str()))
            .collect();
        assert_eq!(documented, defaults, "{heading}");
        let known = keys(in_files);
        let documented: Vec<&str> = documented.iter().map(|(key, _)| *key).collect();
        assert_eq!(documented, known, "{heading}");
    }
}

/// A value of a type that no key has is refused in a reader's words, not in those of the program's types.
// Promise: C9
#[test]
fn every_key_says_what_it_expects() {
    let of_service = keys("zone = 1");
    let of_check = keys("check = { type = \"tcp\", zone = 1 }");
    let of_backend = keys("backend = [{ zone = 1 }]");
    let in_check = |key: &String| match key.as_str() {
        "type" => "check = { type = 1979-05-27 }".to_owned(),
        key => format!("check = {{ type = \"http\", {key} = 1979-05-27 }}"),
    };
    let service = of_service
        .iter()
        .map(|key| (key, format!("{key} = 1979-05-27")));
    let check = of_check.iter().map(|key| (key, in_check(key)));
    let backend = of_backend
        .iter()
        .map(|key| (key, format!("backend = [{{ {key} = 1979-05-27 }}]")));
    for (key, lines) in service.chain(check).chain(backend) {
        let error = refused(&lines);
        let place = format!(".{key}");
        assert!(error.key.ends_with(&place), "{lines}: {error}");
        assert_eq!(error.problem, "it is of type datetime", "{lines}");
        let of_type = [
            "u8",
            "u16",
            "u32",
            "a string",
            "a sequence",
            "struct",
            "enum",
            "Spec",
            "IP address",
        ];
        assert!(
            !of_type.iter().any(|word| error.expected.starts_with(word)),
            "{error}"
        );
    }
}

/// As a reader goes through a file.
#[test]
fn the_first_thing_that_is_wrong_is_told() {
    let error = refused("port = \"http\"\nzone = 1\nhash = \"none\"");
    assert_eq!(error.key, "service[0].port");
    let error = refused("zone = 1\nport = \"http\"");
    assert_eq!(error.key, "service[0].zone");
}
