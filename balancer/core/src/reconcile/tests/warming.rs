//! Who is trusted before the first probe has ended.

use super::*;

/// The health of three backends: `?` unknown, `+` up, `-` down.
fn said(words: &str) -> impl Fn(BackendId) -> Health + '_ {
    move |id| match words.as_bytes().get(usize::from(id.0) - 1) {
        Some(b'+') => Health::Up,
        Some(b'-') => Health::Down,
        _ => Health::Unknown,
    }
}

/// Who owns slots after each of these healths, one after the other.
fn owners_while(state: &State, healths: &[&str]) -> Vec<Vec<u16>> {
    let mut warming = Warming::default();
    let mut seen = Vec::new();
    for words in healths {
        let health = said(words);
        warming.follow(web(state), &health);
        let trusted = |id| warming.trusted(ServiceId(0), id, health(id));
        let plan = plan(state, &trusted, &hops(&[1, 2, 3]));
        seen.push(owners(&plan.tables[&ServiceId(0)]));
    }
    seen
}

// Promise: H5
#[test]
fn backends_of_whom_nothing_is_known_are_trusted_until_each_is_known() {
    let state = edge(&[service("web", 10, true, &[1, 2, 3])]);
    let seen = owners_while(&state, &["???", "?+?", "-+?", "-++"]);
    assert_eq!(seen, [vec![1, 2, 3], vec![1, 2, 3], vec![2, 3], vec![2, 3]]);
}

// Promise: H5
#[test]
fn a_first_probe_that_passes_moves_no_slot() {
    let state = edge(&[service("web", 10, true, &[1, 2, 3])]);
    let mut warming = Warming::default();
    for words in ["???", "+??", "++?", "+++"] {
        let health = said(words);
        warming.follow(web(&state), &health);
        let trusted = |id| warming.trusted(ServiceId(0), id, health(id));
        let table = overlay(web(&state), &trusted, &hops(&[1, 2, 3]));
        assert_eq!(table, web(&state).table, "with {words}");
        assert!(!fails_open(web(&state), &trusted, &hops(&[1, 2, 3])));
    }
}

// Promise: H5
#[test]
fn a_backend_that_joins_others_that_are_known_is_not_trusted() {
    let state = edge(&[service("web", 10, true, &[1, 2, 3])]);
    let seen = owners_while(&state, &["++?", "+-?", "--?"]);
    // The last one fails open.
    assert_eq!(seen, [vec![1, 2], vec![1], vec![1, 2, 3]]);
}

#[test]
fn trust_that_ended_does_not_come_back_while_another_is_known() {
    let state = edge(&[service("web", 10, true, &[1, 2, 3])]);
    let seen = owners_while(&state, &["???", "+-?", "+??"]);
    assert_eq!(seen, [vec![1, 2, 3], vec![1, 3], vec![1, 3]]);
}
