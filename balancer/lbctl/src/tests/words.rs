//! Numbers as people read them.

use crate::table::{bytes, count, duration};

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
