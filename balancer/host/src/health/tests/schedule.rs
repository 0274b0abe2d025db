use super::*;

/// How late a busy machine may run a task.
const SLACK_MS: u128 = 200;

// Promise: H3
#[tokio::test]
async fn a_silent_backend_delays_no_other() {
    let blackhole = Blackhole::new().await;
    let (_listener, port) = listener().await;
    let mut silent = tcp_check(blackhole.port);
    (silent.interval_ms, silent.timeout_ms) = (10_000, 10_000);
    let mut probes = Probes::start([silent, tcp_check(port)]);
    for _ in 0..10 {
        let report = probes.report().await;
        assert_eq!((report.target.port, report.outcome), (port, Ok(())));
    }
}

// Promise: H2
#[tokio::test]
async fn probes_start_at_once_and_then_an_interval_apart_or_up_to_a_tenth_earlier() {
    let (listener, port) = listener().await;
    let mut target = tcp_check(port);
    target.interval_ms = 500;
    let mut starts = vec![Instant::now()];
    let _probes = Probes::start([target]);
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
    (target.interval_ms, target.timeout_ms) = (500, 450);
    let mut probes = Probes::start([target.clone()]);
    let (mut stream, _) = listener.accept().await.expect("accept");
    read_head(&mut stream).await;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await
        .expect("answer");
    assert_eq!(probes.outcome().await, Ok(()));
    // From here on it accepts and says nothing: the slowest kind of failure.
    let silent_since = Instant::now();
    for _ in 0..FALL {
        assert_eq!(probes.failure().await, "no answer within 450 ms");
    }
    let bound = target.interval() * u32::from(FALL) + target.timeout();
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
    target.timeout_ms = 60_000;
    assert_eq!(
        Probes::start([target]).failure().await,
        "no answer within 250 ms"
    );
}

#[tokio::test]
async fn a_target_that_vanishes_is_left_at_once_in_the_middle_of_its_probe() {
    let (listener, port) = listener().await;
    let mut target = http_check(port);
    (target.interval_ms, target.timeout_ms) = (5_000, 5_000);
    let mut probes = Probes::start([target]);
    let (mut stream, _) = listener.accept().await.expect("accept");
    read_head(&mut stream).await;
    probes.want([]);
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
    let mut probes = Probes::start([tcp_check(first)]);
    assert_eq!(probes.report().await.target.port, first);
    // Another question to the same address is another target.
    let mut often = tcp_check(first);
    often.interval_ms = 100;
    let wanted = [often, tcp_check(second)].map(Arc::new);
    probes.want(wanted.iter().map(|target| (**target).clone()));
    let mut counts = [0, 0];
    while counts.iter().any(|&count| count < 4) {
        let target = probes.report().await.target;
        match wanted.iter().position(|each| *each == target) {
            Some(which) => counts[which] += 1,
            None => assert_eq!(counts, [0, 0], "the old target goes on: {target:?}"),
        }
    }
}

#[tokio::test]
async fn an_unchanged_target_is_not_disturbed_by_others_that_change() {
    let (listener, port) = listener().await;
    let mut target = tcp_check(port);
    (target.interval_ms, target.timeout_ms) = (1_000, 1_000);
    let mut other = tcp_check(port);
    let mut probes = Probes::start([target.clone()]);
    assert_eq!(probes.outcome().await, Ok(()));
    let first = Instant::now();
    let mut changes = 0;
    // A target that is new is probed at once.
    while first.elapsed() < Duration::from_millis(700) {
        other.port = 1 + changes;
        changes += 1;
        probes.want([target.clone(), other.clone()]);
        tokio::time::sleep(Duration::from_millis(10)).await;
        while let Ok(report) = probes.reports.try_recv() {
            let again = *report.target == target;
            assert!(!again, "probed again after {:?}", first.elapsed());
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
    } = Probes::start([tcp_check(port)]);
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
    } = Probes::start([tcp_check(port)]);
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
