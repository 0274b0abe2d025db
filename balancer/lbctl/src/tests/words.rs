//! Numbers as people read them, and the model's words.

use balancer_core::model::{Check, CheckType, Encapsulation, HashPolicy, Protocol, Service};
use strum::VariantNames;

use super::run;
use crate::table::{bytes, count, duration};

#[test]
fn the_help_of_a_service_has_the_models_words_and_defaults() {
    let help = run("services add --help").out;
    let words = [
        Protocol::VARIANTS,
        Encapsulation::VARIANTS,
        HashPolicy::VARIANTS,
        CheckType::VARIANTS,
    ];
    for word in words.concat() {
        assert!(help.contains(&format!("- {word}: ")), "{word}: {help}");
    }
    let flags = [
        ("--protocol", Protocol::default().to_string()),
        ("--encapsulation", Encapsulation::default().to_string()),
        ("--hash", HashPolicy::default().to_string()),
        ("--interval-ms", Check::INTERVAL_MS.to_string()),
        ("--timeout-ms", Check::TIMEOUT_MS.to_string()),
        ("--rise", Check::RISE.to_string()),
        ("--fall", Check::FALL.to_string()),
        ("--drain-timeout-ms", Service::DRAIN_TIMEOUT_MS.to_string()),
    ];
    for (flag, default) in flags {
        let of_flag = help.split(&format!("{flag} <")).nth(1).expect(flag);
        let of_flag = of_flag.split("\n      --").next().unwrap();
        let default = format!("[default: {default}");
        assert!(of_flag.contains(&default), "{flag}: {of_flag}");
    }
}

#[test]
fn counts_are_grouped_by_thousands() {
    let shown = [0, 12, 999, 1_000, 65_536, 1_234_567, u64::MAX].map(count);
    assert_eq!(
        shown,
        [
            "0",
            "12",
            "999",
            "1,000",
            "65,536",
            "1,234,567",
            "18,446,744,073,709,551,615"
        ]
    );
}

#[test]
fn bytes_have_the_unit_that_fits() {
    let shown = [
        0,
        1_023,
        1_024,
        1_536,
        1_048_575,
        1_048_576,
        3 << 30,
        u64::MAX,
    ]
    .map(bytes);
    assert_eq!(
        shown,
        [
            "0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 MiB", "3.0 GiB", "16.0 EiB"
        ]
    );
}

#[test]
fn durations_have_their_two_largest_units() {
    let shown = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 100_000_000].map(duration);
    assert_eq!(
        shown,
        [
            "0 s",
            "59 s",
            "1 min 0 s",
            "59 min 59 s",
            "1 h 0 min",
            "23 h 59 min",
            "1 d 0 h",
            "1,157 d 9 h"
        ]
    );
}
