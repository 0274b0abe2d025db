//! The real thing: a limit that the kernel keeps, and how long the disk takes.

use std::{
    env,
    process::Command,
    time::{Duration, Instant},
};

use super::*;

const DIRECTORY: &str = "BALANCER_TEST_JOURNAL";

/// A limit of a file's size is what a process can have for itself: the kernel writes up to it, as up to the end of a
/// disk, and then refuses. So this runs once more in a process with a limit.
#[test]
fn an_append_that_does_not_fit_is_cut_off_again() {
    if let Some(path) = env::var_os(DIRECTORY) {
        append_beyond_the_limit(Path::new(&path));
        return;
    }
    let temporary = TempDir::new().unwrap();
    // Blocks of 512 or 1,024 bytes.
    let script = "ulimit -f 8; trap '' XFSZ; exec \"$0\" --exact \"$1\"";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(env::current_exe().unwrap())
        .arg("journal::file::tests::disk::an_append_that_does_not_fit_is_cut_off_again")
        .env(DIRECTORY, temporary.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed"), "{text}");
    let (journal, state) = open(temporary.path());
    assert_eq!(state, ["small 0", "small 1", "smaller 0"]);
    assert_eq!(journal.warnings(), [""; 0]);
}

fn append_beyond_the_limit(path: &Path) {
    let (mut journal, _) = open(path);
    append(&mut journal, &changes("small", 2)).unwrap();
    let file = path.join("journal-1");
    let before = fs::read(&file).unwrap();
    let large = [changes("fits", 1), vec!["x".repeat(20_000)]].concat();
    let error = append(&mut journal, &large).unwrap_err();
    assert!(matches!(error, AppendError::Failed(_)), "{error}");
    assert!(error.to_string().contains("File too large"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before);
    // A checkpoint does not fit either, and the journal goes on.
    assert!(journal.checkpoint(2, &large).is_err());
    append(&mut journal, &changes("smaller", 1)).unwrap();
}

/// Prints how long each takes: run it with `--nocapture`, on the disk that the figures are for.
#[test]
fn a_start_reads_a_checkpoint_and_as_many_entries_as_are_allowed() {
    let temporary = TempDir::new_in(env::current_dir().unwrap()).unwrap();
    let (mut journal, _) = open(temporary.path());
    let change = "x".repeat(200);
    let mut times: Vec<Duration> = Vec::new();
    while !journal.wants_checkpoint() {
        let start = Instant::now();
        append(&mut journal, std::slice::from_ref(&change)).unwrap();
        times.push(start.elapsed());
    }
    times.sort();
    let at = |percent: usize| times[times.len() * percent / 100];
    let count = times.len();
    println!(
        "{count} appends of 200 bytes: p50 {:?}, p99 {:?}",
        at(50),
        at(99)
    );
    let batch = vec![change.clone(); 512];
    timed("an append of 512 entries", || {
        append(&mut journal, &batch).unwrap()
    });
    drop(journal);
    let (mut journal, state) = timed("a start with these", || open(temporary.path()));
    assert_eq!(state.len(), count + 512);
    timed("a checkpoint", || {
        journal.checkpoint(journal.head(), &state).unwrap()
    });
    while !journal.wants_checkpoint() {
        append(&mut journal, &vec![change.repeat(100); 100]).unwrap();
    }
    let length_bytes = journal.tail.length_bytes();
    drop(journal);
    let what = format!("a start with a checkpoint and {length_bytes} bytes of entries");
    let (journal, state) = timed(&what, || open(temporary.path()));
    assert_eq!(state.len() as u64, journal.head());
}

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    println!("{what}: {:?}", start.elapsed());
    result
}
