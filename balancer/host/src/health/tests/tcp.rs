use super::*;

#[tokio::test]
async fn a_listening_port_passes_and_a_closed_one_is_refused() {
    let (listener, port) = listener().await;
    let mut probes = Probes::start([tcp_check(port)]);
    let report = probes.report().await;
    assert_eq!(
        report,
        Report {
            target: Arc::new(tcp_check(port)),
            outcome: Ok(())
        }
    );
    drop(listener);
    while probes.outcome().await.is_ok() {}
    assert_eq!(probes.failure().await, "connect: connection refused");
}

#[tokio::test]
async fn a_port_that_answers_nothing_fails_after_the_timeout() {
    let blackhole = Blackhole::new().await;
    let started = Instant::now();
    let mut probes = Probes::start([tcp_check(blackhole.port)]);
    assert_eq!(probes.failure().await, "no answer within 200 ms");
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn an_address_without_a_route_fails_with_the_kernels_words() {
    // Class E: no machine has a route there that works.
    let mut target = tcp_check(80);
    target.address = "255.255.255.255".parse().expect("v4");
    let why = Probes::start([target]).failure().await;
    assert!(
        why.starts_with("connect: ") && !why.contains("os error"),
        "{why}"
    );
}

// Promise: H8
#[tokio::test]
async fn a_tcp_probe_ends_its_connection_without_a_reset_even_when_it_was_greeted() {
    let (listener, port) = listener().await;
    let _probes = Probes::start([tcp_check(port)]);
    let (mut stream, _) = listener.accept().await.expect("accept");
    stream.write_all(b"220 greetings\r\n").await.expect("greet");
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.expect("an orderly end");
    assert_eq!(said, b"");
    stream
        .write_all(b"221 bye\r\n")
        .await
        .expect("the prober still reads");
}
