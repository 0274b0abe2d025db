//! Scenes: a state that is the list of all changes, so that a missing or doubled one shows.

mod crashes;
mod damage;
mod disk;
mod old_state;

use std::{collections::BTreeMap, fs, path::Path};

use tempfile::TempDir;

use super::*;

type State = Vec<String>;
type Files = FileJournal<State, String>;

/// The changes of an append, told apart by `label`.
fn changes(label: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{label} {number}"))
        .collect()
}

/// Appends these changes behind the head.
fn append(journal: &mut Files, changes: &[String]) -> Result<(), AppendError> {
    let after = journal.head();
    let entries: Vec<_> = changes
        .iter()
        .zip(after + 1..)
        .map(|(change, number)| Entry {
            number,
            unix_ms: 1_000 + number,
            change: change.clone(),
        })
        .collect();
    journal.append(after, &entries)
}

/// Opens a journal; the state that follows from it, too. The state of a version before may be there.
fn open_in(dir: &StateDir) -> Result<(Files, State), JournalError> {
    let (journal, opened) =
        FileJournal::open(dir, |old: Option<State>| Ok(old.unwrap_or_default()))?;
    let mut state = opened.state;
    for (entry, number) in opened.entries.into_iter().zip(opened.number + 1..) {
        assert_eq!((entry.number, entry.unix_ms), (number, 1_000 + number));
        state.push(entry.change);
    }
    Ok((journal, state))
}

fn open(path: &Path) -> (Files, State) {
    open_in(&StateDir::open(path).unwrap()).unwrap()
}

fn refused(path: &Path) -> String {
    let before = files(path);
    let words = open_in(&StateDir::open(path).unwrap())
        .unwrap_err()
        .to_string();
    let after = files(path);
    // Whatever was there is there still, if under another name.
    for (name, content) in before {
        assert!(
            name == "lock" || after.values().any(|found| *found == content),
            "{name} is lost"
        );
    }
    assert!(words.contains(path.to_str().unwrap()), "{words}");
    words
}

/// All files by name.
fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    fs::read_dir(path)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let content = fs::read(entry.path()).unwrap();
            (name(entry), content)
        })
        .collect()
}

#[test]
fn what_was_appended_is_found_again() {
    let temporary = TempDir::new().unwrap();
    let (mut journal, state) = open(temporary.path());
    assert_eq!((journal.head(), state), (0, vec![]));
    append(&mut journal, &changes("first", 1)).unwrap();
    append(&mut journal, &[]).unwrap();
    append(&mut journal, &changes("second", 2)).unwrap();
    assert_eq!(journal.head(), 3);
    drop(journal);
    let (journal, state) = open(temporary.path());
    assert_eq!(journal.head(), 3);
    assert_eq!(state, ["first 0", "second 0", "second 1"]);
    assert_eq!(journal.warnings(), [""; 0]);
}

#[test]
fn a_checkpoint_takes_the_place_of_the_entries_before_it() {
    let temporary = TempDir::new().unwrap();
    let (mut journal, mut state) = open(temporary.path());
    let names = || -> Vec<String> {
        files(temporary.path())
            .into_keys()
            .filter(|name| name != "lock")
            .collect()
    };
    for (round, journals) in [
        ["journal-1", "journal-3"].as_slice(),
        &["journal-3", "journal-5"],
        &["journal-5", "journal-7"],
    ]
    .into_iter()
    .enumerate()
    {
        let added = changes(&format!("round {round}"), 2);
        append(&mut journal, &added).unwrap();
        state.extend(added);
        journal.checkpoint(journal.head(), &state).unwrap();
        // Those that the checkpoint before needs stay.
        let expected = [
            &["checkpoint", "checkpoint.previous"],
            journals,
            &["state"][..],
        ]
        .concat();
        assert_eq!(names(), expected, "round {round}");
    }
    // Once more without an entry in between.
    journal.checkpoint(6, &state).unwrap();
    drop(journal);
    let dir = StateDir::open(temporary.path()).unwrap();
    let opened = FileJournal::<State, String>::open(&dir, |_: Option<State>| unreachable!())
        .unwrap()
        .1;
    assert_eq!((opened.number, opened.entries.len()), (6, 0));
    assert_eq!(opened.state, state);
}

#[test]
fn entries_are_read_from_any_number_that_is_kept() {
    let temporary = TempDir::new().unwrap();
    let (mut journal, mut state) = open(temporary.path());
    for round in 0..3 {
        let added = changes(&format!("round {round}"), 2);
        append(&mut journal, &added).unwrap();
        state.extend(added);
        journal.checkpoint(journal.head(), &state).unwrap();
    }
    append(&mut journal, &changes("last", 1)).unwrap();
    let numbers = |journal: &mut Files, from| -> Vec<u64> {
        journal
            .read_from(from)
            .unwrap()
            .iter()
            .map(|entry| entry.number)
            .collect()
    };
    assert_eq!(numbers(&mut journal, 5), [5, 6, 7]);
    assert_eq!(numbers(&mut journal, 6), [6, 7]);
    assert_eq!(numbers(&mut journal, 7), [7]);
    assert_eq!(numbers(&mut journal, 8), [0; 0]);
    let words = journal.read_from(4).unwrap_err().to_string();
    assert_eq!(
        words,
        "entry 4 is no longer in the journal, which begins with entry 5: start from its checkpoint"
    );
}

#[test]
fn an_append_for_another_head_is_refused_and_changes_nothing() {
    let temporary = TempDir::new().unwrap();
    let (mut journal, _) = open(temporary.path());
    append(&mut journal, &changes("first", 2)).unwrap();
    let entry = |number| Entry {
        number,
        unix_ms: 0,
        change: "late".to_owned(),
    };
    let before = files(temporary.path());
    assert!(matches!(
        journal.append(1, &[entry(2)]),
        Err(AppendError::Moved { head: 2 })
    ));
    let misnumbered = journal.append(2, &[entry(3), entry(5)]).unwrap_err();
    assert!(
        matches!(
            misnumbered,
            AppendError::Failed(JournalError::Misnumbered {
                expected: 4,
                found: 5
            })
        ),
        "{misnumbered}"
    );
    assert!(journal.checkpoint(1, &Vec::new()).is_err());
    assert_eq!(files(temporary.path()), before);
}

#[test]
fn entries_are_appended_while_a_checkpoint_is_written() {
    let temporary = TempDir::new().unwrap();
    let (mut journal, mut state) = open(temporary.path());
    state.extend(changes("before", 2));
    append(&mut journal, &state).unwrap();
    let pending = journal.begin_checkpoint(2).unwrap();
    assert_eq!(pending.number(), 2);
    let copy = state.clone();
    append(&mut journal, &changes("meanwhile", 1)).unwrap();
    std::thread::spawn(move || pending.write(&copy))
        .join()
        .unwrap()
        .unwrap();
    append(&mut journal, &changes("after", 1)).unwrap();
    drop(journal);
    let dir = StateDir::open(temporary.path()).unwrap();
    let (_, opened) =
        FileJournal::<State, String>::open(&dir, |_: Option<State>| unreachable!()).unwrap();
    assert_eq!((opened.number, opened.state), (2, state));
    let changes: Vec<&str> = opened
        .entries
        .iter()
        .map(|entry| entry.change.as_str())
        .collect();
    assert_eq!(changes, ["meanwhile 0", "after 0"]);
}

#[test]
fn an_older_checkpoint_does_not_take_the_place_of_a_newer_one() {
    let temporary = TempDir::new().unwrap();
    let (mut journal, _) = open(temporary.path());
    let one = changes("one", 1);
    append(&mut journal, &one).unwrap();
    let slow = journal.begin_checkpoint(1).unwrap();
    let both = [one.clone(), changes("two", 1)].concat();
    append(&mut journal, &both[1..]).unwrap();
    journal.checkpoint(2, &both).unwrap();
    slow.write(&one).unwrap();
    drop(journal);
    let (journal, state) = open(temporary.path());
    assert_eq!((journal.head(), state), (2, both));
}

#[test]
fn a_checkpoint_is_wanted_after_many_entries_and_not_while_one_is_made() {
    let temporary = TempDir::new().unwrap();
    let (mut journal, _) = open(temporary.path());
    append(&mut journal, &changes("many", 999)).unwrap();
    assert!(!journal.wants_checkpoint());
    append(&mut journal, &changes("last", 1)).unwrap();
    assert!(journal.wants_checkpoint());
    drop(journal);
    let (mut journal, state) = open(temporary.path());
    assert!(journal.wants_checkpoint());
    let pending = journal.begin_checkpoint(1_000).unwrap();
    append(&mut journal, &changes("meanwhile", 2_000)).unwrap();
    assert!(!journal.wants_checkpoint());
    pending.write(&state).unwrap();
    assert!(journal.wants_checkpoint());
    let state = [state, changes("meanwhile", 2_000)].concat();
    journal.checkpoint(3_000, &state).unwrap();
    assert!(!journal.wants_checkpoint());
    // By size, too.
    append(&mut journal, &["x".repeat(5 << 20)]).unwrap();
    assert!(journal.wants_checkpoint());
}

#[test]
fn after_a_checkpoint_that_could_not_be_begun_the_next_attempt_waits() {
    let temporary = TempDir::new().unwrap();
    let (mut journal, _) = open(temporary.path());
    append(&mut journal, &changes("many", 1_000)).unwrap();
    journal.dir.faults().fail(0..1);
    assert!(journal.begin_checkpoint(1_000).is_err());
    assert!(!journal.wants_checkpoint());
    append(&mut journal, &changes("more", 99)).unwrap();
    assert!(!journal.wants_checkpoint());
    append(&mut journal, &changes("last", 1)).unwrap();
    assert!(journal.wants_checkpoint());
}
