use super::*;

#[tokio::test]
async fn an_http_probe_asks_for_its_path_once_a_connection() {
    let (listener, port) = listener().await;
    let _probes = Probes::start(vec![http_check(port)]);
    let (mut stream, _) = listener.accept().await.expect("accept");
    let head = read_head(&mut stream).await.to_lowercase();
    assert!(
        head.starts_with("get /healthz?full=1 http/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("\r\nhost: 127.0.0.1:{port}\r\n")),
        "{head}"
    );
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
}

#[tokio::test]
async fn http_statuses_from_200_to_399_pass_and_others_are_named() {
    let passing: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 204 No Content\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 399 Odd\r\nContent-Length: 0\r\n\r\n",
    ];
    for answer in passing {
        let outcome = Probes::start(vec![http_check(server(answer).await)])
            .outcome()
            .await;
        assert_eq!(outcome, Ok(()), "{}", String::from_utf8_lossy(answer));
    }
    let failing: [(&[u8], &str); 3] = [
        (
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            "http status 503",
        ),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "http status 404",
        ),
        (
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
            "http status 400",
        ),
    ];
    for (answer, why) in failing {
        assert_eq!(
            Probes::start(vec![http_check(server(answer).await)])
                .failure()
                .await,
            why
        );
    }
}

#[tokio::test]
async fn what_is_no_http_is_named_so() {
    for (answer, why) in [
        (
            &b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..],
            "no http answer: invalid http version parsed",
        ),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            "no http answer: invalid http version parsed",
        ),
        (b"", "no http answer: connection closed"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Le",
            "no http answer: connection closed",
        ),
    ] {
        assert_eq!(
            Probes::start(vec![http_check(server(answer).await)])
                .failure()
                .await,
            why
        );
    }
}

#[tokio::test]
async fn an_endless_http_head_is_cut_off() {
    let (listener, port) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream
            .write_all(b"X-More: of the same of the same of the same\r\n")
            .await
            .is_ok()
        {}
    });
    let mut target = http_check(port);
    (target.check.interval_ms, target.check.timeout_ms) = (5_000, 5_000);
    let why = Probes::start(vec![target]).failure().await;
    assert_eq!(why, "no http answer: message head is too large");
}

#[tokio::test]
async fn an_http_answer_that_comes_too_late_or_drips_fails() {
    let (silent, silent_port) = listener().await;
    assert_eq!(
        Probes::start(vec![http_check(silent_port)]).failure().await,
        "no answer within 200 ms"
    );
    drop(silent);
    let (dripping, port) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = dripping.accept().await.expect("accept");
        stream.set_nodelay(true).expect("nodelay");
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" {
            let _ = stream.write_all(&[*byte]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(
        Probes::start(vec![http_check(port)]).failure().await,
        "no answer within 200 ms"
    );
}

#[tokio::test]
async fn an_http_body_is_not_waited_for_and_its_connection_is_not_reset() {
    let (listener, port) = listener().await;
    let mut probes = Probes::start(vec![http_check(port)]);
    let (mut stream, _) = listener.accept().await.expect("accept");
    read_head(&mut stream).await;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
        .await
        .expect("a head");
    assert_eq!(probes.outcome().await, Ok(()));
    stream.write_all(&[b'x'; 4_000]).await.expect("a body");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("an orderly end");
}
