//! Files that are not what was written.

use super::*;
use crate::state_dir;

/// A directory with entries 1 to 9: up to 3 in the checkpoint before, up to 6 in the newest.
fn scene() -> (TempDir, State) {
    let temporary = TempDir::new().unwrap();
    let (mut journal, mut state) = open(temporary.path());
    for round in 0..3 {
        let added = changes(&format!("round {round}"), 3);
        append(&mut journal, &added[..1]).unwrap();
        append(&mut journal, &added[1..]).unwrap();
        state.extend(added);
        if round < 2 {
            journal.checkpoint(journal.head(), &state).unwrap();
        }
    }
    (temporary, state)
}

// Promise: S1
#[test]
fn a_journal_cut_off_at_any_byte_has_every_append_before() {
    let (temporary, state) = scene();
    let path = temporary.path().join("journal-7");
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> = (1..=whole.len())
        .filter(|&end| whole[end - 1] == b'\n')
        .collect();
    // The header, one entry, and two entries in one append.
    let (header, first, last) = (ends[0], ends[1], ends[3]);
    assert_eq!(last, whole.len());
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        if length < header {
            let words = refused(temporary.path());
            assert!(words.starts_with("line 1 of `journal-7` in "), "{words}");
            continue;
        }
        let (mut journal, found) = open(temporary.path());
        let count = 6 + usize::from(length >= first) + 2 * usize::from(length >= last);
        assert_eq!(found, state[..count], "cut off at {length}");
        let torn = length
            - [header, first, last]
                .into_iter()
                .rfind(|&end| end <= length)
                .unwrap();
        let warnings: Vec<&String> = journal.warnings().iter().collect();
        assert_eq!(
            warnings.len(),
            usize::from(torn > 0),
            "cut off at {length}: {warnings:?}"
        );
        if torn > 0 {
            let start = format!(
                "`journal-7` in {} ended in {torn} bytes of a change",
                temporary.path().display()
            );
            assert!(warnings[0].starts_with(&start), "{warnings:?}");
            let kept = fs::read(temporary.path().join("journal-7.torn")).unwrap();
            assert_eq!(kept, whole[length - torn..length]);
        }
        append(&mut journal, &changes("next", 1)).unwrap();
        drop(journal);
        let (journal, found) = open(temporary.path());
        assert_eq!(found, [&state[..count], &changes("next", 1)].concat());
        assert_eq!(journal.warnings(), [""; 0]);
    }
}

// Promise: S1
#[test]
fn a_journal_with_any_byte_changed_is_refused_and_stays_as_it_is() {
    let (temporary, _) = scene();
    let path = temporary.path().join("journal-7");
    let whole = fs::read(&path).unwrap();
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 0x04;
        fs::write(&path, &changed).unwrap();
        let words = refused(temporary.path());
        assert!(words.contains("of `journal-7` in"), "byte {place}: {words}");
        assert_eq!(fs::read(&path).unwrap(), changed);
    }
}

#[test]
fn a_damaged_line_is_named_with_what_to_do() {
    let (temporary, state) = scene();
    let path = temporary.path().join("journal-7");
    let mut content = fs::read(&path).unwrap();
    let line = content.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let second = line
        + content[line..]
            .iter()
            .position(|&byte| byte == b'\n')
            .unwrap()
        + 1;
    content[second + 30] ^= 1;
    fs::write(&path, &content).unwrap();
    let expected = format!(
        "line 3 of `journal-7` in {} is damaged: it is changed since it was written. Put back a copy of the file, or, to \
         go on without entry 8 and all after it (connections may move), keep a copy, cut the file off before line 3 and \
         move later files of the journal away",
        temporary.path().display()
    );
    assert_eq!(refused(temporary.path()), expected);
    // And it helps.
    fs::write(&path, &content[..second]).unwrap();
    assert_eq!(open(temporary.path()).1, state[..7]);
}

// Promise: S1
#[test]
fn a_doubled_line_is_told_and_counts_once() {
    let (temporary, state) = scene();
    let path = temporary.path().join("journal-7");
    let mut content = fs::read(&path).unwrap();
    let line = content[..content.len() - 1]
        .iter()
        .rposition(|&byte| byte == b'\n')
        .unwrap()
        + 1;
    content.extend(content[line..].to_vec());
    fs::write(&path, &content).unwrap();
    let (mut journal, found) = open(temporary.path());
    assert_eq!(found, state);
    let words = format!(
        "`journal-7` in {} has 1 lines twice: each was taken once",
        temporary.path().display()
    );
    assert_eq!(journal.warnings(), [words]);
    append(&mut journal, &changes("next", 1)).unwrap();
    drop(journal);
    assert_eq!(open(temporary.path()).1.len(), 10);
}

// Promise: S1
#[test]
fn one_damaged_checkpoint_costs_nothing() {
    let (temporary, state) = scene();
    let path = temporary.path().join("checkpoint");
    let whole = fs::read(&path).unwrap();
    let wrong = [
        whole[..whole.len() / 2].to_vec(),
        b"rubbish".to_vec(),
        state_dir::seal("balancer-checkpoint", 1, b"{}"),
        Vec::new(),
    ];
    let others = files(temporary.path());
    for wrong in wrong {
        for (name, content) in &others {
            fs::write(temporary.path().join(name), content).unwrap();
        }
        fs::write(&path, &wrong).unwrap();
        let (mut journal, found) = open(temporary.path());
        assert_eq!(found, state);
        let warning = &journal.warnings()[0];
        assert!(warning.contains("is damaged ("), "{warning}");
        let end = "and now called `checkpoint.damaged`: took `checkpoint.previous` and the entries after it, so that nothing \
                   is missing";
        assert!(warning.ends_with(end), "{warning}");
        assert_eq!(
            fs::read(temporary.path().join("checkpoint.damaged")).unwrap(),
            wrong
        );
        // Two whole ones again, soon.
        assert!(journal.wants_checkpoint());
        journal.checkpoint(9, &state).unwrap();
        drop(journal);
        fs::write(&path, "rubbish").unwrap();
        assert_eq!(open(temporary.path()).1, state);
        for name in files(temporary.path())
            .into_keys()
            .filter(|name| name != "lock")
        {
            fs::remove_file(temporary.path().join(name)).unwrap();
        }
    }
}

#[test]
fn the_first_checkpoint_has_a_second_copy() {
    let temporary = TempDir::new().unwrap();
    let (mut journal, _) = open(temporary.path());
    append(&mut journal, &changes("only", 2)).unwrap();
    drop(journal);
    fs::write(temporary.path().join("checkpoint"), "rubbish").unwrap();
    assert_eq!(open(temporary.path()).1, changes("only", 2));
}

#[test]
fn two_damaged_checkpoints_are_refused() {
    let (temporary, _) = scene();
    fs::write(temporary.path().join("checkpoint"), "rubbish").unwrap();
    fs::write(temporary.path().join("checkpoint.previous"), "more\n").unwrap();
    let expected = format!(
        "no whole checkpoint is left in {}: `checkpoint` is cut off in its first line, `checkpoint.previous` is without a \
         version in its first line; put back a copy, or move all files but `lock` away to start from the configuration \
         alone (connections will move)",
        temporary.path().display()
    );
    assert_eq!(refused(temporary.path()), expected);
}

#[test]
fn entries_without_a_checkpoint_and_a_marker_alone_are_refused() {
    let (temporary, _) = scene();
    for name in ["checkpoint", "checkpoint.previous"] {
        fs::remove_file(temporary.path().join(name)).unwrap();
    }
    let words = refused(temporary.path());
    assert!(
        words.contains("and there are entries that need them: put back a copy"),
        "{words}"
    );
    for first in segments(&StateDir::open(temporary.path()).unwrap()).unwrap() {
        fs::remove_file(temporary.path().join(name(first))).unwrap();
    }
    let words = refused(temporary.path());
    assert!(
        words.contains("and its `state` says that they were there: put back a copy"),
        "{words}"
    );
    fs::remove_file(temporary.path().join("state")).unwrap();
    assert_eq!(open(temporary.path()).1, [""; 0]);
}

// Promise: S1
#[test]
fn a_missing_file_of_entries_is_refused() {
    let (temporary, state) = scene();
    let path = temporary.path().join("journal-7");
    let moved = temporary.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    let words = refused(temporary.path());
    let start = format!(
        "entries from number 7 on are missing in {}: no `journal-7`; put it back from a copy",
        temporary.path().display()
    );
    assert!(words.starts_with(&start), "{words}");
    // Under the name of a later one.
    let mut later = segment::header(12).into_bytes();
    fs::write(temporary.path().join("journal-12"), &later).unwrap();
    assert!(refused(temporary.path()).contains("no `journal-7`"));
    fs::rename(&moved, &path).unwrap();
    let words = refused(temporary.path());
    assert!(
        words.contains("no `journal-10`, and the next is `journal-12`"),
        "{words}"
    );
    // Where it belongs, it is as after a crash before its checkpoint.
    fs::remove_file(temporary.path().join("journal-12")).unwrap();
    later = segment::header(10).into_bytes();
    fs::write(temporary.path().join("journal-10"), &later).unwrap();
    let (journal, found) = open(temporary.path());
    assert_eq!(found, state);
    assert!(journal.wants_checkpoint());
}

#[test]
fn an_older_file_of_entries_that_is_cut_off_is_refused() {
    let (temporary, _) = scene();
    fs::write(temporary.path().join("checkpoint"), "rubbish").unwrap();
    let path = temporary.path().join("journal-4");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let words = refused(temporary.path());
    assert!(
        words.contains("is cut off, and entries follow it in another file"),
        "{words}"
    );
}

// Promise: S2
#[test]
fn newer_versions_are_refused_by_name() {
    let newer = |magic: &str| state_dir::seal(magic, 9, b"{}");
    for (name, content, known) in [
        ("checkpoint", newer("balancer-checkpoint"), 1),
        ("state", newer("balancer-state"), 2),
        ("journal-7", b"balancer-journal 9 7 634c8cf5\n".to_vec(), 1),
    ] {
        let (temporary, _) = scene();
        fs::write(temporary.path().join(name), content).unwrap();
        let words = refused(temporary.path());
        let path = temporary.path().join(name);
        let start = format!(
            "{} has schema version 9, and this lbd knows versions up to {known}: run the newer lbd again",
            path.display()
        );
        assert!(words.starts_with(&start), "{words}");
    }
}
