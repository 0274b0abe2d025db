use proptest::{collection::vec, prelude::*};

use super::*;

/// Appends as they follow from their changes, the first with number `first`.
fn appends(first: u64, batches: &[Vec<String>]) -> Vec<Vec<Entry<String>>> {
    let mut number = first;
    let mut entry = |change: &String| {
        number += 1;
        Entry {
            number: number - 1,
            unix_ms: 1_700_000_000_000 + number,
            change: change.clone(),
        }
    };
    let append = |batch: &Vec<String>| batch.iter().map(&mut entry).collect();
    batches.iter().map(append).collect()
}

/// A segment's content, with the place where each append ends.
fn written(first: u64, appends: &[Vec<Entry<String>>]) -> (Vec<u8>, Vec<usize>) {
    let mut content = header(first).into_bytes();
    let mut ends = Vec::new();
    for append in appends {
        content.extend(encode(append));
        ends.push(content.len());
    }
    (content, ends)
}

fn sample() -> Vec<u8> {
    let batches = [
        vec!["one".to_owned()],
        vec!["two".to_owned(), "three".to_owned()],
        vec!["four".to_owned()],
    ];
    written(7, &appends(7, &batches)).0
}

fn lines(content: &[u8]) -> Vec<Vec<u8>> {
    content
        .split_inclusive(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

fn read_strings(content: &[u8], first: u64) -> Result<Segment<String>, Unreadable> {
    read(content, first)
}

fn damage(content: &[u8]) -> (usize, String) {
    match read_strings(content, 7) {
        Err(Unreadable::Damaged { line, why, .. }) => (line, why),
        other => panic!("no damage: {other:?}"),
    }
}

fn batches() -> impl Strategy<Value = Vec<Vec<String>>> {
    vec(vec("[ -~\\n\\x00é]{0,9}", 1..4), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_segment_cut_off_at_any_byte_has_all_whole_appends_and_no_half_one(
        first in 1..1_000_000_u64, batches in batches(), zeros in 0..3_usize
    ) {
        let appends = appends(first, &batches);
        let (content, ends) = written(first, &appends);
        let head = header(first).len();
        for length in 0..=content.len() {
            let mut cut = content[..length].to_vec();
            cut.extend(std::iter::repeat_n(0, zeros * 300));
            let found = read_strings(&cut, first);
            if length < head {
                prop_assert!(matches!(found, Err(Unreadable::Damaged { line: 1, .. })), "{length}: {found:?}");
                continue;
            }
            let found = found.map_err(|error| TestCaseError::fail(format!("{length}: {error:?}")))?;
            let whole = ends.iter().filter(|&&end| end <= length).count();
            prop_assert_eq!(found.entries, appends[..whole].concat(), "cut off at {}", length);
            prop_assert_eq!(found.whole_bytes, ends[..whole].last().copied().unwrap_or(head));
        }
    }

    #[test]
    fn a_segment_with_any_bit_flipped_is_refused(first in 1..2_000_u64, batches in batches()) {
        let (content, _) = written(first, &appends(first, &batches));
        for place in 0..content.len() {
            for bit in 0..8 {
                let mut flipped = content.clone();
                flipped[place] ^= 1 << bit;
                let found = read_strings(&flipped, first);
                prop_assert!(matches!(found, Err(Unreadable::Damaged { .. })), "byte {place}, bit {bit}: {found:?}");
            }
        }
    }

    #[test]
    fn whatever_is_behind_the_last_append_hides_none_of_it(batches in batches(), behind in vec(any::<u8>(), 0..40)) {
        let appends = appends(1, &batches);
        let (mut content, _) = written(1, &appends);
        content.extend(behind);
        if let Ok(found) = read_strings(&content, 1) {
            prop_assert_eq!(found.entries, appends.concat());
        }
    }
}

#[test]
fn a_line_that_is_there_twice_counts_once() {
    let whole = read_strings(&sample(), 7).unwrap();
    let lines = lines(&sample());
    for again in 1..lines.len() {
        for at in again + 1..=lines.len() {
            let mut doubled = lines.clone();
            doubled.insert(at, lines[again].clone());
            let found = read_strings(&doubled.concat(), 7).unwrap();
            assert_eq!(found.entries, whole.entries, "line {again} again at {at}");
            assert_eq!(found.doubled, 1);
            assert_eq!(found.whole_bytes, doubled.concat().len());
        }
    }
}

// Promise: S1
#[test]
fn a_number_that_is_there_twice_with_other_words_is_refused() {
    let mut content = sample();
    let other = Entry {
        number: 8,
        unix_ms: 0,
        change: "other",
    };
    content.extend(encode(&[other]));
    let (line, why) = damage(&content);
    assert_eq!(line, 6);
    assert_eq!(
        why,
        "it has entry 8 once more, and says something else of it"
    );
}

// Promise: S1
#[test]
fn lines_out_of_order_and_missing_lines_are_refused() {
    let lines = lines(&sample());
    for place in 1..lines.len() - 1 {
        let mut swapped = lines.clone();
        swapped.swap(place, place + 1);
        let (line, why) = damage(&swapped.concat());
        assert_eq!(line, place + 1);
        assert!(
            why.contains("lines are missing, or not in their order"),
            "{why}"
        );
        let mut missing = lines.clone();
        missing.remove(place);
        assert_eq!(damage(&missing.concat()).0, place + 1);
    }
}

#[test]
fn an_append_without_its_end_before_another_is_refused() {
    let mut content = sample();
    let append = |numbers: std::ops::RangeInclusive<u64>| {
        let entry = |number| Entry {
            number,
            unix_ms: 0,
            change: "new",
        };
        encode(&numbers.map(entry).collect::<Vec<_>>())
    };
    let half = append(11..=12);
    content.extend(&lines(&half)[0]);
    assert_eq!(read_strings(&content, 7).unwrap().entries.len(), 4);
    content.extend(append(12..=13));
    let (line, why) = damage(&content);
    assert_eq!(line, 7);
    assert_eq!(why, "entries of the append before it are missing, up to 12");
}

#[test]
fn a_newer_version_is_told_from_damage() {
    let mut content = sealed_header(2, 7).into_bytes();
    content.extend(b"what it says is for newer programs");
    assert_eq!(read_strings(&content, 7), Err(Unreadable::Newer(2)));
}

#[test]
fn a_segment_under_another_name_is_refused() {
    let found = read_strings(&sample(), 8);
    let Err(Unreadable::Damaged { why, .. }) = found else {
        panic!("{found:?}")
    };
    assert_eq!(why, "the file begins with entry 7, and its name says 8");
}

#[test]
fn a_change_of_another_kind_is_refused_as_such() {
    let mut content = header(7).into_bytes();
    content.extend(encode(&[Entry {
        number: 7,
        unix_ms: 0,
        change: 5,
    }]));
    let (line, why) = damage(&content);
    assert_eq!(line, 2);
    assert!(
        why.starts_with("it is as it was written, and no change that this lbd knows (invalid type"),
        "{why}"
    );
}

#[test]
fn an_entry_is_a_line_that_a_person_can_read() {
    let entry = Entry {
        number: 12,
        unix_ms: 1_700_000_000_000,
        change: "a\nb",
    };
    let line = String::from_utf8(encode(&[entry])).unwrap();
    assert_eq!(
        line,
        "12 12 41 48ecd694 {\"unix_ms\":1700000000000,\"change\":\"a\\nb\"}\n"
    );
}
