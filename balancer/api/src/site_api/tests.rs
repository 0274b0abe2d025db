//! The interface from end to end, over TCP, before a daemon that answers by heart.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use balancer_core::model::Endpoint;
use futures::StreamExt;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
};

use super::{
    client::SiteClient,
    command::{InstanceLine, SiteCommand, SiteRefusal},
    requests::WorkloadBody,
    server::{Listeners, json_lines},
    views::SiteView,
};
use crate::{
    client::{Client, ClientError},
    replies::ErrorCode,
    token::Token,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn token() -> Token {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("token");
    std::fs::write(&path, "secret").unwrap();
    Token::read(&path).unwrap().0
}

fn body(slug: &str, environment: &str) -> WorkloadBody {
    let workload = json!({
        "name": slug, "slug": slug, "anycast": true,
        "containers": [{
            "name": "app", "image": "web:1", "command": [],
            "ports": [{"name": "http", "port": 8000, "protocol": "tcp", "public": true}],
            "cpu_millis": 500, "memory_bytes": 128 << 20, "env": {"TEXT": environment},
            "readiness": null, "liveness": null
        }],
        "targets": [{
            "name": "global", "min_replicas": 1, "max_replicas": 1, "cpu_percent": null, "cities": ["SEA"]
        }]
    });
    WorkloadBody {
        workload: serde_json::from_value(workload).unwrap(),
        vips: vec!["198.51.100.1".parse().unwrap()],
        drain_timeout_seconds: 30,
    }
}

/// Takes every workload but `taken`, knows none to delete, builds any context, and has one log.
async fn answer(command: SiteCommand) {
    match command {
        SiteCommand::PutWorkload { body, reply } => {
            let taken = body.workload.slug.as_str() == "taken";
            let refusal = || SiteRefusal::Conflict("198.51.100.1 is another's".into());
            let _ = reply.send(taken.then(refusal).map_or(Ok(()), Err));
        }
        SiteCommand::DeleteWorkload { slug, reply } => {
            let refusal = SiteRefusal::NotFound(format!("there is no workload `{slug}` here"));
            let _ = reply.send(Err(refusal));
        }
        SiteCommand::Snapshot { reply } => {
            let _ = reply.send(SiteView {
                version: "1".into(),
                city: "SEA".parse().unwrap(),
                runtime: "docker".into(),
                workloads: Vec::new(),
                warnings: Vec::new(),
            });
        }
        SiteCommand::PrepareImage {
            context, progress, ..
        } => {
            let last = match context {
                Some(context) => Ok(format!("{} bytes", context.len())),
                None => Err("no such image".to_owned()),
            };
            let _ = progress.send(Ok("looking".to_owned())).await;
            let _ = progress.send(last).await;
        }
        SiteCommand::Logs { reply, .. } => {
            let (lines, receiver) = mpsc::channel(1);
            let _ = reply.send(Ok(receiver));
            let line = InstanceLine {
                instance: "web-global-sea-0".into(),
                container: "app".into(),
                text: "at last".into(),
            };
            let _ = lines.send(line).await;
        }
    }
}

/// Serves it to those who show the token, and runs `work` with where it is and a client.
async fn serve<T>(work: impl AsyncFnOnce(SocketAddr, SiteClient) -> T) -> T {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (commands, mut inbox) = mpsc::channel(16);
    let (stop, stopped) = oneshot::channel::<()>();
    let daemon = tokio::spawn(async move {
        while let Some(command) = inbox.recv().await {
            tokio::spawn(answer(command));
        }
    });
    let served = tokio::spawn(
        Listeners::Tcp(listener, Some(token())).serve(commands, async {
            let _ = stopped.await;
        }),
    );
    let endpoint: Endpoint = format!("http://{address}").parse().unwrap();
    let client = Client::new(endpoint).with_token(Some(token()));
    let done = work(address, SiteClient::new(client.with_timeout(PATIENCE))).await;
    drop(stop);
    served.await.unwrap().unwrap();
    daemon.await.unwrap();
    done
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> (ErrorCode, String) {
    match answer {
        Err(ClientError::Refused { code, error }) => (code, error),
        other => panic!("{other:?}"),
    }
}

/// Sends one request as it is written here, and returns the whole answer.
async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("{request}Host: site\r\nAuthorization: Bearer secret\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

// Promise: F7
#[tokio::test]
async fn what_a_site_refuses_has_a_code_and_a_sentence() {
    serve(async |address, client| {
        client.put_workload(&body("web", "")).await.unwrap();
        let (code, error) = refusal(client.put_workload(&body("taken", "")).await);
        assert_eq!(
            (code, &*error),
            (ErrorCode::Conflict, "198.51.100.1 is another's")
        );
        // Gone already is as good as gone.
        client
            .delete_workload(&"web".parse().unwrap())
            .await
            .unwrap();
        let endpoint: Endpoint = format!("http://{address}").parse().unwrap();
        let stranger = SiteClient::new(Client::new(endpoint));
        assert_eq!(refusal(stranger.site().await).0, ErrorCode::Unauthorized);
        assert_eq!(client.site().await.unwrap().runtime, "docker");
    })
    .await;
}

// Promise: F7
#[tokio::test]
async fn a_route_or_a_method_that_is_none_is_answered_with_those_that_are() {
    serve(async |address, _| {
        for (request, status, words) in [
            (
                "GET /v1/nothing HTTP/1.1\r\n",
                "404",
                "no route GET /v1/nothing; there are: GET /v1/site",
            ),
            (
                "POST /v1/site HTTP/1.1\r\n",
                "405",
                "/v1/site does not take POST; there are: GET /v1/site",
            ),
            (
                "GET /v1/workloads/web HTTP/1.1\r\n",
                "404",
                "there is no workload `web` here",
            ),
            (
                "GET /v1/workloads/No%20Slug HTTP/1.1\r\n",
                "400",
                "`No Slug` is no slug",
            ),
        ] {
            let answer = raw(address, request).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
            assert!(
                answer.contains("application/json") && answer.contains(words),
                "{answer}"
            );
        }
    })
    .await;
}

// Promise: F7
#[tokio::test]
async fn a_workload_of_three_megabytes_is_taken_and_one_of_seventeen_is_told_the_limit() {
    serve(async |_, client| {
        let long = |megabytes: usize| body("web", &"x".repeat(megabytes << 20));
        client.put_workload(&long(3)).await.unwrap();
        let (code, error) = refusal(client.put_workload(&long(17)).await);
        assert_eq!(code, ErrorCode::TooLarge);
        assert!(error.contains("at most 16777216"), "{error}");
    })
    .await;
}

// Promise: F7
#[tokio::test]
async fn an_image_is_told_of_line_by_line_until_it_is_there_or_is_not() {
    serve(async |_, client| {
        let mut lines = Vec::new();
        let context = Some(vec![0; 20 << 20]);
        let made = client.prepare_image("web:1", context, |line| lines.push(line.to_owned()));
        made.await.unwrap();
        assert_eq!(lines, ["looking", "20971520 bytes"]);
        let none = client.prepare_image("web:2", None, |_| ()).await;
        assert_eq!(
            refusal(none),
            (ErrorCode::Failed, "no such image".to_owned())
        );
    })
    .await;
}

// Promise: F7
#[tokio::test]
async fn a_context_over_the_limit_is_told_so() {
    serve(async |address, _| {
        let request = "PUT /v1/images?image=web HTTP/1.1\r\nContent-Length: 536870913\r\n";
        let answer = raw(address, request).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(
            answer.contains("the body is larger than 536870912 bytes"),
            "{answer}"
        );
    })
    .await;
}

// Promise: F7
#[tokio::test]
async fn a_silent_log_says_that_it_is_still_there() {
    let (sender, lines) = mpsc::channel(1);
    let body = json_lines(lines, Duration::from_millis(10), |line: u32| line).into_body();
    let mut frames = body.into_data_stream();
    for _ in 0..3 {
        assert_eq!(frames.next().await.unwrap().unwrap(), "\n");
    }
    sender.send(7).await.unwrap();
    drop(sender);
    let rest: Vec<_> = frames.map(Result::unwrap).collect().await;
    assert_eq!(rest.last().unwrap(), "7\n");
}

// Promise: F7
#[tokio::test]
async fn a_log_is_read_to_its_end() {
    let text = serve(async |_, client| {
        let slug = "web".parse().unwrap();
        let mut lines = client.logs(&slug, None, None, true).await.unwrap();
        let first = lines.next().await.unwrap().unwrap().text;
        assert_eq!(lines.next().await.unwrap(), None);
        first
    })
    .await;
    assert_eq!(text, "at last");
}
