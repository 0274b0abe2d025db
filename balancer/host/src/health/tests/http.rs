use super::*;

#[tokio::test]
async fn an_http_probe_asks_for_its_path_once_a_connection() {
    let (listener, port) = listener().await;
    let _probes = Probes::start([http_check(port)]);
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
        let outcome = Probes::start([http_check(server(answer).await)])
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
            Probes::start([http_check(server(answer).await)])
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
            Probes::start([http_check(server(answer).await)])
                .failure()
                .await,
            why
        );
    }
}

// Promise: H8
#[tokio::test]
async fn an_http_head_beyond_16_kib_is_not_read() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n",
        "x".repeat(32 * 1024)
    );
    let why = Probes::start([http_check(server(answer.leak().as_bytes()).await)])
        .failure()
        .await;
    assert_eq!(why, "no http answer: message head is too large");
}

#[tokio::test]
async fn an_http_answer_that_comes_too_late_or_drips_fails() {
    let (silent, silent_port) = listener().await;
    assert_eq!(
        Probes::start([http_check(silent_port)]).failure().await,
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
        Probes::start([http_check(port)]).failure().await,
        "no answer within 200 ms"
    );
}

// Promise: H8
#[tokio::test]
async fn a_body_that_comes_with_an_http_head_is_no_reason_for_a_reset() {
    let (listener, port) = listener().await;
    let mut probes = Probes::start([http_check(port)]);
    let (mut stream, _) = listener.accept().await.expect("accept");
    read_head(&mut stream).await;
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n".to_vec();
    answer.resize(answer.len() + 40_000, b'x');
    stream.write_all(&answer).await.expect("answer");
    assert_eq!(probes.outcome().await, Ok(()));
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("an orderly end");
}
