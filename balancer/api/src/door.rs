//! Who may ask over TCP, and for how long: the port may face anyone, and the daemon's file
//! descriptors are for health checks first. Who is being answered may stay.

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

/// A listener that lets in so many connections at once, each for so long after the last byte of an answer.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    seats: Arc<Semaphore>,
    stay: Duration,
}

impl Door {
    /// Lets in `seats` connections at once, and each for `stay` after its last byte.
    pub fn new(listener: TcpListener, seats: usize, stay: Duration) -> Self {
        let seats = Arc::new(Semaphore::new(seats));
        Self {
            listener,
            seats,
            stay,
        }
    }
}

impl Listener for Door {
    type Io = Guest;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest, SocketAddr) {
        // It is never closed, so this is always a seat.
        let seat = Arc::clone(&self.seats).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let leaves = Box::pin(sleep(self.stay));
        (
            Guest {
                stream,
                leaves,
                stay: self.stay,
                _seat: seat,
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails when its time is over, and then gives its seat back.
#[derive(Debug)]
pub struct Guest {
    stream: TcpStream,
    leaves: Pin<Box<Sleep>>,
    stay: Duration,
    _seat: Option<OwnedSemaphorePermit>,
}

impl Guest {
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.leaves.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => poll(Pin::new(&mut self.stream), context),
        }
    }
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(context, |stream, context| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Guest {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.poll(context, |stream, context| stream.poll_write(context, bytes));
        if let Poll::Ready(Ok(1..)) = written {
            let leaves = Instant::now() + self.stay;
            self.leaves.as_mut().reset(leaves);
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

    const STAY: Duration = Duration::from_millis(300);

    /// A line every third of a stay, for four stays.
    async fn lines() -> Body {
        Body::from_stream(stream::iter(0..12).then(|line| async move {
            sleep(STAY / 3).await;
            Ok::<_, io::Error>(format!("{line}\n"))
        }))
    }

    /// Asks for a path behind a door, and reads until the connection ends: how long that took, and what came.
    async fn ask(path: &str) -> (Duration, String) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/lines", get(lines))
            .route("/silence", get(std::future::pending::<()>));
        let served = tokio::spawn(axum::serve(Door::new(listener, 1, STAY), router).into_future());
        let started = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: door\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is ended may be reset.
        let _ = stream.read_to_end(&mut answer).await;
        served.abort();
        (started.elapsed(), String::from_utf8(answer).unwrap())
    }

    // Promise: F7
    #[tokio::test]
    async fn who_is_being_answered_may_stay() {
        let (took, answer) = ask("/lines").await;
        assert!(took >= STAY * 3, "{took:?}");
        assert!(answer.contains("11\n"), "{answer}");
    }

    // Promise: F7
    #[tokio::test]
    async fn a_connection_on_which_nothing_moves_is_ended() {
        let (took, answer) = ask("/silence").await;
        assert!(took >= STAY && answer.is_empty(), "{took:?}: {answer}");
    }
}
