//! Many targets, few sockets, and readers that take their time.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;

/// How many connections to a local port this process's clients hold: those that a client has closed do not count, though a
/// child that another test has just started may hold them until it runs its own program.
fn held(port: u16) -> usize {
    let own = std::fs::read_dir("/proc/self/fd").expect("the list of descriptors");
    let own: BTreeSet<String> = own
        .flatten()
        .filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .collect();
    let table = std::fs::read_to_string("/proc/thread-self/net/tcp").expect("the table of sockets");
    let remote = format!(":{port:04X}");
    let of_clients = table.lines().filter(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_, _, address, state, _, _, _, _, _, inode, ..] = columns[..] else {
            return false;
        };
        // Established, or the other side has closed it.
        address.ends_with(&remote)
            && matches!(state, "01" | "08")
            && own.contains(&format!("socket:[{inode}]"))
    });
    of_clients.count()
}

/// A server that accepts and answers nothing; how many connections were ever accepted, and the most at once.
async fn silent_server() -> (u16, Arc<[AtomicUsize; 2]>) {
    let (listener, port) = listener().await;
    let counts = Arc::new([const { AtomicUsize::new(0) }; 2]);
    let counting = Arc::clone(&counts);
    tokio::spawn(async move {
        let mut accepted = Vec::new();
        loop {
            accepted.push(listener.accept().await.expect("accept"));
            counting[0].store(accepted.len(), Ordering::Relaxed);
            counting[1].fetch_max(held(port), Ordering::Relaxed);
        }
    });
    (port, counts)
}

// Promise: H3
#[tokio::test]
async fn five_hundred_services_that_ask_the_same_are_one_probe() {
    let (listener, port) = listener().await;
    let check = |number: u16| Check {
        kind: CheckKind::Tcp(Tcp {}),
        port,
        interval_ms: 250,
        timeout_ms: 200,
        rise: 1 + (number % 5) as u8,
        fall: 1 + (number % 7) as u8,
    };
    let targets = (0..500).map(|number| Target::of(LOCALHOST, &check(number)));
    let probes = Probes::start(targets);
    let counting = async {
        for _ in 0..9 {
            listener.accept().await.expect("accept");
        }
    };
    let started = Instant::now();
    timeout(PATIENCE, counting).await.expect("nine probes");
    // The first at once, and the others at least nine tenths of an interval apart.
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(8 * 225 - 50),
        "nine connections within {took:?}"
    );
    drop(probes);
}

// Promise: H3
#[tokio::test]
async fn a_hundred_silent_targets_with_eight_sockets_are_late_and_all_get_their_result() {
    let (port, counts) = silent_server().await;
    let silent = (0..100).map(|number| {
        let mut target = http_check_of(port, &format!("/{number}"));
        (target.interval_ms, target.timeout_ms) = (600, 100);
        target
    });
    let mut probes = Probes::start_with(8, 16, silent);
    let mut results: BTreeMap<Arc<Target>, usize> = BTreeMap::new();
    // A round takes more than an interval; in the second one each has its turn again.
    while results.len() < 100 || results.values().any(|&count| count < 2) {
        let report = probes.report().await;
        assert_eq!(report.outcome, Err("no answer within 100 ms".to_owned()));
        let count = results.entry(report.target).or_default();
        *count += 1;
        assert!(*count <= 3, "one is asked again before others: {results:?}");
    }
    let most = counts[1].load(Ordering::Relaxed);
    assert!((1..=8).contains(&most), "{most} sockets at once");
}

// Promise: H3
#[tokio::test]
async fn probes_whose_reports_nobody_takes_hold_no_socket_and_are_not_repeated() {
    let (port, counts) = silent_server().await;
    let targets = (0..20).map(|number| {
        let mut target = http_check_of(port, &format!("/{number}"));
        (target.interval_ms, target.timeout_ms) = (200, 100);
        target
    });
    let mut probes = Probes::start_with(1_000, 1, targets);
    let started = Instant::now();
    while counts[0].load(Ordering::Relaxed) < 20 || held(port) > 0 {
        assert!(started.elapsed() < PATIENCE, "{} are held", held(port));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    // The one whose report fits the channel was asked once more.
    let asked = counts[0].load(Ordering::Relaxed);
    assert!((20..=21).contains(&asked), "{asked} probes of 20 targets");
    let mut reported = BTreeSet::new();
    for _ in 0..20 {
        reported.insert(probes.report().await.target);
    }
    assert_eq!(reported.len(), 20, "a report was lost or came twice");
}

// Promise: H3
#[tokio::test]
async fn a_slow_reader_gets_each_targets_reports_once_and_in_their_order() {
    let (listener, port) = listener().await;
    // Each path is answered 401, 402, 403 and so on.
    tokio::spawn(async move {
        let mut answered = BTreeMap::<String, usize>::new();
        loop {
            let (mut stream, _) = listener.accept().await.expect("accept");
            let head = read_head(&mut stream).await;
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let count = answered.entry(path).or_default();
            *count += 1;
            let status = 400 + *count;
            let answer = format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let targets = (0..10).map(|number| {
        let mut target = http_check_of(port, &format!("/{number}"));
        (target.interval_ms, target.timeout_ms) = (50, 50);
        target
    });
    let mut probes = Probes::start_with(1_000, 2, targets);
    let mut heard: BTreeMap<Arc<Target>, Vec<String>> = BTreeMap::new();
    for _ in 0..100 {
        let report = probes.report().await;
        let failure = report.outcome.expect_err("no answer is good");
        heard.entry(report.target).or_default().push(failure);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(heard.len(), 10, "{heard:?}");
    for failures in heard.values() {
        // On a busy machine some are not answered in time, which leaves a number out.
        let numbers = failures
            .iter()
            .filter_map(|why| why.strip_prefix("http status 4"));
        let numbers: Vec<usize> = numbers
            .map(|number| number.parse().expect("a number"))
            .collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{heard:?}");
        let last = numbers.last().expect("some are answered");
        assert!(*last <= failures.len(), "reports are lost: {heard:?}");
    }
}
