//! The same interface over TCP: only for those who show the token.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use balancer_core::{model::Endpoint, state::State};
use tokio::sync::{mpsc, oneshot};

use crate::{
    client::{Client, ClientError},
    command::{Daemon, Look},
    replies::ErrorCode,
    server::{bind_tcp, serve_tcp},
    testing::samples::{snapshot, status},
    token::Token,
    views::Snapshot,
};

fn token(directory: &tempfile::TempDir, secret: &str) -> Token {
    let path: PathBuf = directory.path().join(secret);
    std::fs::write(&path, secret).unwrap();
    Token::read(&path).unwrap().0
}

/// Serves a daemon that asks for `asked`; runs `work` with a client of it, and tells how many commands came through.
async fn serve<T>(asked: Option<Token>, work: impl AsyncFnOnce(Client) -> T) -> (T, usize) {
    let listener = bind_tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let (commands, mut changes) = mpsc::channel(16);
    let (looks, mut inbox) = mpsc::channel(16);
    let daemon = Daemon { commands, looks };
    let (stop, stopped) = oneshot::channel::<()>();
    let counted = tokio::spawn(async move {
        let state = State::new(1);
        let mut count = 0;
        while let Some(command) = inbox.recv().await {
            count += 1;
            if let Look::Snapshot { reply } = command {
                let shown = Snapshot {
                    status: status(&state),
                    ..snapshot(&state)
                };
                let _ = reply.send(Arc::new(shown));
            }
        }
        while changes.recv().await.is_some() {
            count += 1;
        }
        count
    });
    let served = tokio::spawn(serve_tcp(listener, daemon, asked, async {
        let _ = stopped.await;
    }));
    let endpoint: Endpoint = format!("http://{address}").parse().unwrap();
    let done = work(Client::new(endpoint).with_timeout(Duration::from_secs(5))).await;
    drop(stop);
    served.await.unwrap().unwrap();
    (done, counted.await.unwrap())
}

fn is_unauthorized<T>(answer: &Result<T, ClientError>) -> bool {
    matches!(
        answer,
        Err(ClientError::Refused {
            code: ErrorCode::Unauthorized,
            ..
        })
    )
}

// Promise: V3
#[tokio::test]
async fn who_shows_the_token_is_answered_over_tcp() {
    let directory = tempfile::tempdir().unwrap();
    let right = token(&directory, "secret");
    let (answer, asked) = serve(Some(right.clone()), async |client| {
        client.with_token(Some(right)).status().await
    })
    .await;
    assert_eq!(answer.unwrap().items.len(), 1);
    assert_eq!(asked, 1);
}

// Promise: V3
#[tokio::test]
async fn who_shows_none_or_another_one_is_refused_before_anything_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let (right, wrong) = (token(&directory, "secret"), token(&directory, "secre7"));
    let (answers, asked) = serve(Some(right), async |client| {
        let with = client.clone().with_token(Some(wrong));
        let event = serde_json::json!({});
        [
            is_unauthorized(&client.status().await),
            is_unauthorized(&with.status().await),
            is_unauthorized(&with.send_event(&event).await),
            is_unauthorized(&with.operations().await),
        ]
    })
    .await;
    assert_eq!(answers, [true; 4]);
    assert_eq!(asked, 0);
}

#[tokio::test]
async fn without_a_token_everybody_on_the_host_is_answered() {
    let (answer, asked) = serve(None, async |client| client.status().await).await;
    assert_eq!((answer.is_ok(), asked), (true, 1));
}
