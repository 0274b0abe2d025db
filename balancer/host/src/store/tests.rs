use std::{fs, path::Path};

use balancer_core::state::State;
use tempfile::TempDir;

use super::*;
use crate::state_dir;

const VERSION: u32 = 1;

/// A state file as versions before the journal had one.
impl Stored for State {
    const LOOK: &str = "lbctl services list";

    fn name(&self) -> String {
        format!("generation {}", self.generation)
    }
}
const CURRENT: &str = "state";
const PREVIOUS: &str = "state.previous";
const NEW: &str = "state.new";
const DAMAGED: &str = "state.damaged";

fn seal(state: &State) -> Vec<u8> {
    seal_json(VERSION, &serde_json::to_vec(state).unwrap())
}

fn seal_json(version: u32, json: &[u8]) -> Vec<u8> {
    state_dir::seal("balancer-state", version, json)
}

fn open<S: Stored>(dir: &Path) -> Result<(super::Store<S>, Option<S>), StateDirError> {
    super::Store::open(&StateDir::open(dir)?)
}

fn state(generation: u64) -> State {
    let mut state = State::new(u64::MAX);
    state.generation = generation;
    state
}

fn saved(dir: &Path, generations: &[u64]) {
    let (store, _) = open::<State>(dir).unwrap();
    for &generation in generations {
        store.save(&state(generation)).unwrap();
    }
}

/// What a start finds: the generation, and whether there is a warning.
fn found(dir: &Path) -> (Option<u64>, bool) {
    let (store, state) = open::<State>(dir).unwrap();
    (
        state.map(|state| state.generation),
        store.warning().is_some(),
    )
}

fn error(dir: &Path) -> String {
    open::<State>(dir).expect_err("an error").to_string()
}

#[test]
fn a_fresh_directory_has_no_state_and_no_warning() {
    let dir = TempDir::new().unwrap();
    let deep = dir.path().join("a/b");
    assert_eq!(found(&deep), (None, false));
}

#[test]
fn the_state_saved_last_is_found() {
    let dir = TempDir::new().unwrap();
    saved(dir.path(), &[1, 2, 3]);
    let (_, found) = open::<State>(dir.path()).unwrap();
    assert_eq!(found, Some(state(3)));
}

#[test]
fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let deep = dir.path().join("deep");
    saved(&deep, &[1, 2]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&deep), 0o700);
    for name in [CURRENT, PREVIOUS, "lock"] {
        assert_eq!(mode(&deep.join(name)), 0o600, "{name}");
    }
}

/// A directory with this content of `state` beside a whole one of generation 1. Written without
/// waiting for the disk, for there are many.
fn beside_whole(dir: &Path, current: &[u8]) {
    fs::write(dir.join(CURRENT), current).unwrap();
    fs::write(dir.join(PREVIOUS), seal(&state(1))).unwrap();
}

// Promise: S1
#[test]
fn a_state_cut_off_at_any_byte_gives_the_one_before() {
    let dir = TempDir::new().unwrap();
    let whole = seal(&state(2));
    for length in 0..whole.len() {
        beside_whole(dir.path(), &whole[..length]);
        assert_eq!(found(dir.path()), (Some(1), true), "cut off at {length}");
    }
    beside_whole(dir.path(), &whole);
    assert_eq!(found(dir.path()), (Some(2), false));
}

// Promise: S1
#[test]
fn two_states_cut_off_at_any_byte_are_an_error() {
    let (current, previous) = (seal(&state(2)), seal(&state(1)));
    for length in 0..current.len().min(previous.len()) {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join(CURRENT), &current[..length]).unwrap();
        fs::write(dir.path().join(PREVIOUS), &previous[..length]).unwrap();
        let words = error(dir.path());
        assert!(
            words.contains("no whole state is left"),
            "cut off at {length}: {words}"
        );
        assert!(words.contains(&dir.path().display().to_string()), "{words}");
        // Nothing was touched: a person can still look at both.
        assert_eq!(
            fs::read(dir.path().join(CURRENT)).unwrap(),
            &current[..length]
        );
    }
}

// Promise: S1
#[test]
fn a_state_with_a_byte_flipped_gives_the_one_before() {
    let whole = seal(&state(2));
    let dir = TempDir::new().unwrap();
    for place in 0..whole.len() {
        for mask in [0x01, 0x20, 0x80] {
            let mut flipped = whole.clone();
            flipped[place] ^= mask;
            beside_whole(dir.path(), &flipped);
            assert_eq!(
                found(dir.path()),
                (Some(1), true),
                "byte {place} with {mask:#x}"
            );
        }
    }
}

#[test]
fn a_state_with_something_behind_it_gives_the_one_before() {
    let dir = TempDir::new().unwrap();
    saved(dir.path(), &[1, 2]);
    let mut longer = seal(&state(2));
    longer.push(b'\n');
    fs::write(dir.path().join(CURRENT), &longer).unwrap();
    assert_eq!(found(dir.path()), (Some(1), true));
}

// Promise: S1
#[test]
fn a_damaged_state_is_kept_and_never_takes_the_place_of_the_whole_one() {
    let dir = TempDir::new().unwrap();
    saved(dir.path(), &[1, 2]);
    fs::write(dir.path().join(CURRENT), "rubbish").unwrap();
    let (store, _) = open::<State>(dir.path()).unwrap();
    let warning = store.warning().unwrap().to_owned();
    assert!(
        warning.contains("damaged (cut off in its first line)"),
        "{warning}"
    );
    assert!(warning.contains("generation 1"), "{warning}");
    // A crash in the next save, before the new state is in place.
    store.dir.faults().crash_after(2);
    store.save(&state(2)).unwrap_err();
    drop(store);
    assert_eq!(found(dir.path()), (Some(1), true));
    assert_eq!(fs::read(dir.path().join(DAMAGED)).unwrap(), b"rubbish");
}

// Promise: S1
#[test]
fn a_crash_between_any_two_steps_of_a_save_loses_no_saved_state() {
    // The new file, what was there becomes the previous one, into place, durable names.
    // The save of generation 3 has returned, or 2 is still there. Never 1, never nothing.
    let expected = [(2, false), (2, false), (2, true), (3, false), (3, false)];
    for (done, (generation, warned)) in expected.into_iter().enumerate() {
        let dir = TempDir::new().unwrap();
        saved(dir.path(), &[1, 2]);
        let (store, _) = open::<State>(dir.path()).unwrap();
        store.dir.faults().crash_after(done);
        assert_eq!(store.save(&state(3)).is_ok(), done == 4, "{done} steps");
        drop(store);
        assert_eq!(
            found(dir.path()),
            (Some(generation), warned),
            "after {done} steps"
        );
        // And the next save and start are as ever.
        saved(dir.path(), &[4]);
        assert_eq!(
            found(dir.path()),
            (Some(4), false),
            "after {done} steps and a save"
        );
    }
}

#[test]
fn a_crash_in_the_first_save_leaves_a_fresh_directory() {
    let dir = TempDir::new().unwrap();
    let (store, _) = open::<State>(dir.path()).unwrap();
    drop(store);
    fs::write(dir.path().join(NEW), &seal(&state(1))[..20]).unwrap();
    assert_eq!(found(dir.path()), (None, false));
}

#[test]
fn a_missing_state_beside_a_damaged_one_is_an_error_and_no_fresh_start() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(PREVIOUS), "rubbish").unwrap();
    let words = error(dir.path());
    assert!(words.contains("`state` is missing"), "{words}");
    assert!(
        words.contains("`state.previous` is cut off in its first line"),
        "{words}"
    );
}

// Promise: S2
#[test]
fn a_second_daemon_is_refused_and_told_by_whom() {
    let dir = TempDir::new().unwrap();
    let (store, _) = open::<State>(dir.path()).unwrap();
    let words = error(dir.path());
    let holder = format!("another lbd (process {}) uses", std::process::id());
    assert!(words.starts_with(&holder), "{words}");
    drop(store);
    assert_eq!(found(dir.path()), (None, false));
}

// Promise: S2
#[test]
fn a_state_of_a_newer_version_is_refused_even_beside_an_older_one() {
    let dir = TempDir::new().unwrap();
    saved(dir.path(), &[1, 2]);
    let newer = seal_json(VERSION + 1, br#"{"other": "schema"}"#);
    fs::write(dir.path().join(CURRENT), newer).unwrap();
    let words = error(dir.path());
    let path = dir.path().join(CURRENT);
    let start = format!(
        "{} has schema version 2, and this lbd knows versions up to 1: run the newer lbd again",
        path.display()
    );
    assert!(words.starts_with(&start), "{words}");
}

#[test]
fn json_that_is_no_state_is_damage_even_when_it_is_whole() {
    let dir = TempDir::new().unwrap();
    saved(dir.path(), &[1, 2]);
    for json in [&b"{}"[..], b"", b"null"] {
        fs::write(dir.path().join(CURRENT), seal_json(VERSION, json)).unwrap();
        let (store, found) = open::<State>(dir.path()).unwrap();
        assert_eq!(found, Some(state(1)));
        assert!(store.warning().unwrap().contains("no state of version 1"));
    }
}

#[test]
fn a_refusing_file_system_is_named_with_the_file() {
    let dir = TempDir::new().unwrap();
    let (store, _) = open::<State>(dir.path()).unwrap();
    // Not even root can write a file where a directory is.
    fs::create_dir(dir.path().join(NEW)).unwrap();
    let words = store.save(&state(1)).unwrap_err().to_string();
    let start = format!("cannot write {}: ", dir.path().join(NEW).display());
    assert!(words.starts_with(&start), "{words}");
}
