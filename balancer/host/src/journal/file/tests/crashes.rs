//! The daemon dies, or the disk fails, at each change of the directory.

use std::ops::Range;

use super::*;

/// What became of a run.
#[derive(Debug, Default)]
struct Run {
    /// What was answered as made.
    made: State,
    /// What may have been made or not.
    unknown: Vec<String>,
}

/// Opens a journal, appends and makes checkpoints; goes on after failures as a daemon does.
fn run(dir: &StateDir, label: &str) -> Run {
    let Ok((mut journal, made)) = open_in(dir) else {
        return Run::default();
    };
    let mut run = Run {
        made,
        ..Run::default()
    };
    for round in 0..4 {
        for count in [2, 1] {
            let added = changes(&format!("{label}, round {round} of {count},"), count);
            match append(&mut journal, &added) {
                Ok(()) => run.made.extend(added),
                Err(AppendError::Unknown(_)) => run.unknown = added,
                Err(AppendError::Failed(_)) => {}
                Err(error @ AppendError::Moved { .. }) => panic!("{error}"),
            }
        }
        // It may fail: nothing may be missing for that.
        let _ = journal.checkpoint(journal.head(), &run.made);
    }
    run
}

fn each(what: &str, range: impl Fn(usize) -> Range<usize>) {
    for at in 0.. {
        let temporary = TempDir::new().unwrap();
        let path = temporary.path();
        let before = run(&StateDir::open(path).unwrap(), "before").made;
        let dir = StateDir::open(path).unwrap();
        dir.faults().fail(range(at));
        let mut ran = run(&dir, "during");
        if ran.made.is_empty() {
            ran.made = before;
        }
        if !dir.faults().have_struck() {
            assert!(at > 40, "only {at} changes");
            return;
        }
        drop(dir);
        let (journal, state) = open(path);
        let possible = [&ran.made[..], &ran.unknown].concat();
        assert!(
            state == ran.made || state == possible,
            "{what} {at}: {state:?} is found after {ran:?}"
        );
        drop(journal);
        // And the next start is as ever.
        let after = run(&StateDir::open(path).unwrap(), "after").made;
        assert_eq!(after.len(), state.len() + 12, "{what} {at}");
        let (journal, state) = open(path);
        assert_eq!(state, after, "{what} {at}");
        assert_eq!(journal.warnings(), [""; 0], "{what} {at}");
        let segments = segments(&journal.dir).unwrap();
        assert_eq!(segments.len(), 2, "{what} {at}: {segments:?}");
    }
}

// Promise: S1
#[test]
fn a_crash_at_any_change_loses_nothing_that_was_answered() {
    each("crash at change", |at| at..usize::MAX);
}

// Promise: S1
#[test]
fn a_fault_of_the_disk_at_any_change_loses_nothing_that_was_answered() {
    each("fault at change", |at| at..at + 1);
}

#[test]
fn two_faults_of_the_disk_lose_nothing_that_was_answered() {
    each("two faults at change", |at| at..at + 2);
}

#[test]
fn a_crash_at_any_change_of_the_first_start_leaves_a_journal_or_none() {
    for at in 0.. {
        let temporary = TempDir::new().unwrap();
        let dir = StateDir::open(temporary.path()).unwrap();
        dir.faults().crash_after(at);
        let ran = run(&dir, "first");
        let struck = dir.faults().have_struck();
        drop(dir);
        let (_, state) = open(temporary.path());
        let possible = [&ran.made[..], &ran.unknown].concat();
        assert!(
            state == ran.made || state == possible,
            "{at}: {state:?} is found after {ran:?}"
        );
        if !struck {
            return;
        }
    }
}

// Promise: S1
#[test]
fn an_append_that_fails_is_as_if_it_had_not_been() {
    let temporary = TempDir::new().unwrap();
    let (mut journal, _) = open(temporary.path());
    append(&mut journal, &changes("whole", 2)).unwrap();
    let before = files(temporary.path());
    // Written, and not made durable.
    journal.dir.faults().fail(1..2);
    let error = append(&mut journal, &changes("failed", 3)).unwrap_err();
    let path = temporary.path().join("journal-1");
    let start = format!(
        "nothing was changed: cannot make durable {}: Input/output error (os error 5); check its permissions and free \
         space",
        path.display()
    );
    assert_eq!(error.to_string(), start);
    assert_eq!(journal.head(), 2);
    assert_eq!(files(temporary.path()), before);
    append(&mut journal, &changes("next", 1)).unwrap();
    assert_eq!(journal.head(), 3);
}

#[test]
fn a_journal_that_cannot_be_cut_back_takes_nothing_more_until_it_is_opened_anew() {
    let temporary = TempDir::new().unwrap();
    let (mut journal, _) = open(temporary.path());
    append(&mut journal, &changes("whole", 2)).unwrap();
    journal.dir.faults().fail(1..3);
    let error = append(&mut journal, &changes("unknown", 3)).unwrap_err();
    assert!(matches!(error, AppendError::Unknown(_)), "{error}");
    assert_eq!(journal.head(), 2);
    let error = append(&mut journal, &changes("next", 1)).unwrap_err();
    assert!(
        matches!(error, AppendError::Failed(JournalError::Closed { .. })),
        "{error}"
    );
    assert!(journal.checkpoint(2, &changes("whole", 2)).is_err());
    assert_eq!(journal.read_from(1).unwrap().len(), 2);
    drop(journal);
    // The disk had it.
    let (mut journal, state) = open(temporary.path());
    assert_eq!(state.len(), 5);
    append(&mut journal, &changes("next", 1)).unwrap();
}
