//! The state file of a version before the journal.

use balancer_core::state::State as EdgeState;

use super::*;
use crate::{state_dir, store::Store};

fn old(changes: &[String]) -> Vec<u8> {
    state_dir::seal("balancer-state", 1, &serde_json::to_vec(changes).unwrap())
}

/// A directory as a version before left it.
fn scene() -> TempDir {
    let temporary = TempDir::new().unwrap();
    fs::write(temporary.path().join("state"), old(&changes("old", 3))).unwrap();
    fs::write(
        temporary.path().join("state.previous"),
        old(&changes("older", 2)),
    )
    .unwrap();
    temporary
}

// Promise: S1
#[test]
fn an_old_state_is_taken_over_and_kept_aside() {
    let temporary = scene();
    let before = files(temporary.path());
    let (mut journal, state) = open(temporary.path());
    assert_eq!(state, changes("old", 3));
    assert_eq!(journal.warnings(), [""; 0]);
    append(&mut journal, &changes("new", 1)).unwrap();
    drop(journal);
    let after = files(temporary.path());
    for name in ["state", "state.previous"] {
        assert_eq!(after[&format!("{name}.before-journal")], before[name]);
    }
    let (_, state) = open(temporary.path());
    assert_eq!(state, [changes("old", 3), changes("new", 1)].concat());
    assert_eq!(files(temporary.path()), after);
}

// Promise: S2
#[test]
fn a_version_before_refuses_a_directory_with_a_journal() {
    for temporary in [scene(), TempDir::new().unwrap()] {
        open(temporary.path());
        let dir = StateDir::open(temporary.path()).unwrap();
        let words = Store::<EdgeState>::open(&dir).unwrap_err().to_string();
        let expected = "/state has schema version 2, and this lbd knows versions up to 1: run the newer lbd again";
        assert!(words.contains(expected), "{words}");
    }
}

#[test]
fn a_damaged_old_state_gives_the_one_before_with_a_warning() {
    let temporary = scene();
    fs::write(temporary.path().join("state"), "rubbish").unwrap();
    let (journal, state) = open(temporary.path());
    assert_eq!(state, changes("older", 2));
    let warning = &journal.warnings()[0];
    assert!(
        warning.contains("the last change before the restart may be missing"),
        "{warning}"
    );
    let names = files(temporary.path());
    assert_eq!(names["state.damaged"], b"rubbish");
    assert_eq!(
        names["state.previous.before-journal"],
        old(&changes("older", 2))
    );
}

#[test]
fn two_damaged_old_states_are_refused() {
    let temporary = scene();
    fs::write(temporary.path().join("state"), "rubbish").unwrap();
    fs::write(temporary.path().join("state.previous"), "rubbish").unwrap();
    let words = refused(temporary.path());
    assert!(words.starts_with("no whole state is left in "), "{words}");
}

#[test]
fn the_journal_wins_over_an_old_state_beside_it() {
    let temporary = scene();
    drop(open(temporary.path()));
    // Somebody ran the version before once more, on an emptied name.
    fs::write(temporary.path().join("state"), old(&changes("again", 1))).unwrap();
    let (journal, state) = open(temporary.path());
    assert_eq!(state, changes("old", 3));
    let words = format!(
        "an older lbd wrote `state` in {} beside the journal: it is now `state.before-journal.2`, and nothing of it was \
         taken",
        temporary.path().display()
    );
    assert_eq!(journal.warnings(), [words]);
    let names = files(temporary.path());
    assert_eq!(names["state.before-journal"], old(&changes("old", 3)));
    assert_eq!(names["state.before-journal.2"], old(&changes("again", 1)));
}

#[test]
fn what_cannot_be_taken_over_changes_nothing() {
    let temporary = scene();
    let before = files(temporary.path());
    let dir = StateDir::open(temporary.path()).unwrap();
    let opened = Files::open(&dir, |_: Option<State>| Err("no room for the rest".into()));
    let words = opened.unwrap_err().to_string();
    let expected = format!(
        "cannot begin the journal in {}: no room for the rest",
        temporary.path().display()
    );
    assert_eq!(words, expected);
    drop(dir);
    let mut after = files(temporary.path());
    after.remove("lock");
    assert_eq!(after, before);
}

// Promise: S1
#[test]
fn a_crash_at_any_change_of_taking_over_loses_nothing() {
    for at in 0.. {
        let temporary = scene();
        let before = files(temporary.path());
        let dir = StateDir::open(temporary.path()).unwrap();
        dir.faults().crash_after(at);
        let opened = open_in(&dir).is_ok();
        let struck = dir.faults().have_struck();
        assert_eq!(opened, !struck, "{at}");
        // What was there is there, if under another name.
        let half = files(temporary.path());
        for (name, content) in &before {
            assert!(
                half.values().any(|found| found == content),
                "{at}: {name} is lost"
            );
        }
        drop(dir);
        let (journal, state) = open(temporary.path());
        assert_eq!(state, changes("old", 3), "{at}");
        assert_eq!(
            journal.warnings().len(),
            0,
            "{at}: {:?}",
            journal.warnings()
        );
        let after = files(temporary.path());
        for (name, content) in &before {
            assert_eq!(&after[&format!("{name}.before-journal")], content, "{at}");
        }
        if !struck {
            assert!(at > 10, "only {at} changes");
            return;
        }
    }
}
