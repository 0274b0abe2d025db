//! Probes of real sockets on `127.0.0.1`.

mod http;
mod load;
mod schedule;
mod tcp;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use balancer_core::model::{Check, CheckKind, Http, Tcp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{Report, Target, prober::spawn_with};

/// Longer than anything the tests wait for; only failures take it.
const PATIENCE: Duration = Duration::from_secs(20);

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How often a backend must fail in a row until its service gives it up.
const FALL: u8 = 3;

fn tcp_check(port: u16) -> Target {
    let check = Check {
        kind: CheckKind::Tcp(Tcp {}),
        port,
        interval_ms: 250,
        timeout_ms: 200,
        rise: 2,
        fall: FALL,
    };
    Target::of(LOCALHOST, &check)
}

fn http_check(port: u16) -> Target {
    http_check_of(port, "/healthz?full=1")
}

fn http_check_of(port: u16, path: &str) -> Target {
    let mut target = tcp_check(port);
    target.kind = CheckKind::Http(Http {
        path: path.to_owned(),
    });
    target
}

/// Probes at work.
struct Probes {
    targets: watch::Sender<Arc<BTreeSet<Target>>>,
    reports: mpsc::Receiver<Report>,
    task: JoinHandle<()>,
}

impl Probes {
    fn start(targets: impl IntoIterator<Item = Target>) -> Self {
        Self::start_with(1_000, 16, targets)
    }

    /// With so many sockets at once, and room for so many reports.
    fn start_with(sockets: usize, room: usize, targets: impl IntoIterator<Item = Target>) -> Self {
        let (targets, wanted) = watch::channel(Arc::new(targets.into_iter().collect()));
        let (report, reports) = mpsc::channel(room);
        Self {
            targets,
            reports,
            task: spawn_with(sockets, wanted, report),
        }
    }

    /// From now on these are asked.
    fn want(&self, targets: impl IntoIterator<Item = Target>) {
        let targets = Arc::new(targets.into_iter().collect());
        self.targets.send_replace(targets);
    }

    async fn report(&mut self) -> Report {
        timeout(PATIENCE, self.reports.recv())
            .await
            .expect("a report in time")
            .expect("a report")
    }

    /// The next outcome, whoever's.
    async fn outcome(&mut self) -> Result<(), String> {
        self.report().await.outcome
    }

    /// Why the next probe failed.
    async fn failure(&mut self) -> String {
        self.outcome().await.expect_err("the probe should fail")
    }
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((LOCALHOST, 0)).await.expect("listen");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

/// A server that answers every connection with these bytes, after it has read a request, and then closes it.
async fn server(answer: &'static [u8]) -> u16 {
    let (listener, port) = listener().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("accept");
            read_head(&mut stream).await;
            let _ = stream.write_all(answer).await;
        }
    });
    port
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).expect("text")
}

/// A port that drops every SYN, as a dead host does: its queue of connections is full.
struct Blackhole {
    port: u16,
    _held: (TcpListener, Vec<TcpStream>),
}

impl Blackhole {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("socket");
        socket.bind((LOCALHOST, 0).into()).expect("bind");
        let listener = socket.listen(0).expect("listen");
        let address = listener.local_addr().expect("bound");
        let mut held = Vec::new();
        while let Ok(stream) =
            timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            held.push(stream.expect("connect"));
        }
        Self {
            port: address.port(),
            _held: (listener, held),
        }
    }
}
