//! A listener with a limit of connections and of their idle time: the port may face anyone, and the daemon's file
//! descriptors are for health checks first. A connection on which an answer moves is not ended.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// A listener that accepts so many connections at once, and ends each so long after the last byte of an answer.
#[derive(Debug)]
pub struct LimitedListener {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    idle_timeout: Duration,
}

impl LimitedListener {
    /// Accepts `max_connections` at once, and ends each `idle_timeout` after its last byte.
    pub fn new(listener: TcpListener, max_connections: usize, idle_timeout: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(max_connections));
        Self {
            listener,
            permits,
            idle_timeout,
        }
    }
}

impl Listener for LimitedListener {
    type Io = LimitedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (LimitedStream, SocketAddr) {
        // The semaphore is never closed, so this is always a permit.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let deadline = Box::pin(sleep(self.idle_timeout));
        (
            LimitedStream {
                stream,
                deadline,
                idle_timeout: self.idle_timeout,
                _permit: permit,
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails when its time is over, and then gives its permit back.
#[derive(Debug)]
pub struct LimitedStream {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    idle_timeout: Duration,
    _permit: Option<OwnedSemaphorePermit>,
}

impl LimitedStream {
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => poll(Pin::new(&mut self.stream), context),
        }
    }
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(context, |stream, context| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.poll(context, |stream, context| stream.poll_write(context, bytes));
        if let Poll::Ready(Ok(1..)) = written {
            let deadline = Instant::now() + self.idle_timeout;
            self.deadline.as_mut().reset(deadline);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(context, |stream, context| stream.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing::get};
    use futures::{StreamExt, stream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const IDLE_TIMEOUT: Duration = Duration::from_millis(300);

    /// A line every third of the idle time, for four idle times.
    async fn lines() -> Body {
        Body::from_stream(stream::iter(0..12).then(|line| async move {
            sleep(IDLE_TIMEOUT / 3).await;
            Ok::<_, io::Error>(format!("{line}\n"))
        }))
    }

    /// Asks for a path behind a limited listener, and reads until the connection ends: how long that took, and what came.
    async fn ask(path: &str) -> (Duration, String) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/lines", get(lines))
            .route("/silence", get(std::future::pending::<()>));
        let served = tokio::spawn(
            axum::serve(LimitedListener::new(listener, 1, IDLE_TIMEOUT), router).into_future(),
        );
        let started = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: limited\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is ended may be reset.
        let _ = stream.read_to_end(&mut answer).await;
        served.abort();
        (started.elapsed(), String::from_utf8(answer).unwrap())
    }

    // Promise: F7
    #[tokio::test]
    async fn a_connection_that_is_being_answered_may_stay() {
        let (took, answer) = ask("/lines").await;
        assert!(took >= IDLE_TIMEOUT * 3, "{took:?}");
        assert!(answer.contains("11\n"), "{answer}");
    }

    // Promise: F7
    #[tokio::test]
    async fn a_connection_on_which_nothing_moves_is_ended() {
        let (took, answer) = ask("/silence").await;
        assert!(
            took >= IDLE_TIMEOUT && answer.is_empty(),
            "{took:?}: {answer}"
        );
    }
}
