use super::*;

/// How late a busy machine may run a task.
const SLACK_MS: u128 = 200;

// Promise: H3
#[tokio::test]
async fn a_silent_backend_delays_no_other() {
    let blackhole = Blackhole::new().await;
    let (_listener, port) = listener().await;
    let mut silent = tcp_check(blackhole.port);
    (silent.id, silent.check.interval_ms, silent.check.timeout_ms) = (BackendId(2), 10_000, 10_000);
    let mut probes = Probes::start(vec![silent, tcp_check(port)]);
    for _ in 0..10 {
        let report = probes.report().await;
        assert_eq!((report.id, report.outcome), (BackendId(1), Ok(())));
    }
}

// Promise: H2
#[tokio::test]
async fn probes_start_at_once_and_then_an_interval_apart_or_up_to_a_tenth_earlier() {
    let (listener, port) = listener().await;
    let mut target = tcp_check(port);
    target.check.interval_ms = 500;
    let mut starts = vec![Instant::now()];
    let _probes = Probes::start(vec![target]);
    for _ in 0..9 {
        let (stream, _) = listener.accept().await.expect("accept");
        starts.push(Instant::now());
        drop(stream);
    }
    let gaps: Vec<u128> = starts
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_millis())
        .collect();
    assert!(gaps[0] < 50 + SLACK_MS, "the first at once: {gaps:?}");
    assert!(
        gaps[1..]
            .iter()
            .all(|gap| (450 - SLACK_MS..500 + SLACK_MS).contains(gap)),
        "{gaps:?}"
    );
    let total: u128 = gaps[1..].iter().sum();
    assert!(
        total < 8 * 500,
        "jitter only ever makes them earlier: {total} ms for 8 intervals of 500 ms"
    );
}

// Promise: H2
#[tokio::test]
async fn a_backend_that_falls_silent_has_failed_often_enough_in_fall_intervals_and_a_timeout() {
    let (listener, port) = listener().await;
    let mut target = http_check(port);
    (target.check.interval_ms, target.check.timeout_ms) = (500, 450);
    let mut probes = Probes::start(vec![target.clone()]);
    let (mut stream, _) = listener.accept().await.expect("accept");
    read_head(&mut stream).await;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await
        .expect("answer");
    assert_eq!(probes.outcome().await, Ok(()));
    // From here on it accepts and says nothing: the slowest kind of failure.
    let silent_since = Instant::now();
    for _ in 0..target.check.fall {
        assert_eq!(probes.failure().await, "no answer within 450 ms");
    }
    let bound = target.check.interval() * target.check.fall.into() + target.check.timeout();
    let took = silent_since.elapsed();
    let slack = Duration::from_millis(200);
    assert!(
        took < bound + slack,
        "noticed after {took:?}, and {bound:?} is the bound"
    );
}

#[tokio::test]
async fn a_timeout_longer_than_the_interval_puts_no_probe_off() {
    let blackhole = Blackhole::new().await;
    let mut target = tcp_check(blackhole.port);
    target.check.timeout_ms = 60_000;
    assert_eq!(
        Probes::start(vec![target]).failure().await,
        "no answer within 250 ms"
    );
}

#[tokio::test]
async fn a_target_that_vanishes_is_left_at_once_in_the_middle_of_its_probe() {
    let (listener, port) = listener().await;
    let mut target = http_check(port);
    (target.check.interval_ms, target.check.timeout_ms) = (5_000, 5_000);
    let mut probes = Probes::start(vec![target]);
    let (mut stream, _) = listener.accept().await.expect("accept");
    read_head(&mut stream).await;
    probes.targets.send_replace(Vec::new());
    let end = timeout(Duration::from_secs(3), stream.read(&mut [0])).await;
    assert!(
        matches!(end, Ok(Ok(0) | Err(_))),
        "the probe goes on: {end:?}"
    );
    assert!(probes.reports.try_recv().is_err());
}

#[tokio::test]
async fn the_set_of_targets_is_followed() {
    let ((_one, first), (_other, second)) = (listener().await, listener().await);
    let mut probes = Probes::start(vec![tcp_check(first)]);
    assert_eq!(probes.report().await.check.port, first);
    // Another check of the same backend replaces its task; another backend gets one of its own.
    let mut added = tcp_check(first);
    added.id = BackendId(2);
    probes.targets.send_replace(vec![tcp_check(second), added]);
    let (mut of_the_new_check, mut of_the_new_backend) = (0, 0);
    while of_the_new_check < 4 || of_the_new_backend < 4 {
        let report = probes.report().await;
        match (report.id, report.check.port) {
            (BackendId(1), port) if port == second => of_the_new_check += 1,
            (BackendId(2), port) if port == first => of_the_new_backend += 1,
            other => assert_eq!(of_the_new_check, 0, "the old check goes on: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_unchanged_target_is_not_disturbed_by_others_that_change() {
    let (listener, port) = listener().await;
    let mut target = tcp_check(port);
    (target.check.interval_ms, target.check.timeout_ms) = (1_000, 1_000);
    let mut other = tcp_check(port);
    other.id = BackendId(2);
    let mut probes = Probes::start(vec![target.clone()]);
    assert_eq!(probes.outcome().await, Ok(()));
    let first = Instant::now();
    let mut changes = 0;
    // A task that starts again probes within a tenth of its interval.
    while first.elapsed() < Duration::from_millis(700) {
        other.check.port = 1 + changes;
        changes += 1;
        probes
            .targets
            .send_replace(vec![target.clone(), other.clone()]);
        tokio::time::sleep(Duration::from_millis(10)).await;
        while let Ok(report) = probes.reports.try_recv() {
            assert_ne!(
                report.id,
                target.id,
                "probed again after {:?}",
                first.elapsed()
            );
        }
    }
    drop(listener);
}

#[tokio::test]
async fn probing_ends_when_nobody_listens_or_nobody_names_targets() {
    let (_listener, port) = listener().await;
    let Probes {
        targets,
        reports,
        task,
    } = Probes::start(vec![tcp_check(port)]);
    drop(reports);
    timeout(PATIENCE, task)
        .await
        .expect("ends")
        .expect("no panic");
    drop(targets);
    let Probes {
        targets,
        mut reports,
        task,
    } = Probes::start(vec![tcp_check(port)]);
    drop(targets);
    timeout(PATIENCE, task)
        .await
        .expect("ends")
        .expect("no panic");
    let all_gone = async { while reports.recv().await.is_some() {} };
    timeout(PATIENCE, all_gone)
        .await
        .expect("every probing task ends with it");
}
