//! A load generator: so many requests a second, each a new connection, none tried again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST};
use hyper_util::rt::TokioIo;
use nix::sched::{CloneFlags, setns};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::Protocol;
use crate::namespace::Namespace;
use crate::pace::rate_of;
use crate::{patient, wait_for};

/// A client gives up after this long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Requests wait for answers to earlier ones once those of so much time are on their way: a machine that cannot do more is
/// asked for less, instead of for ever more at once.
const BACKLOG: Duration = Duration::from_millis(250);

/// A load that gets no answer and no failure for so long is stuck.
const HANGS: Duration = Duration::from_secs(30);

/// What one request met.
#[derive(Clone, Debug)]
pub struct Request {
    /// When it was sent.
    pub sent: Instant,
    /// How long the answer (or the failure) took.
    pub took: Duration,
    /// The name that answered, or why none did.
    pub answer: Result<String, String>,
}

/// Everything that was sent, in order of sending.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// One entry a request.
    pub requests: Vec<Request>,
}

/// What each request asks.
#[derive(Clone)]
struct Question {
    target: SocketAddr,
    protocol: Protocol,
    /// Of HTTP.
    path: String,
    /// What the server takes for its answer.
    answer_time: Duration,
}

impl Question {
    fn new(target: SocketAddr, protocol: Protocol) -> Question {
        Question {
            target,
            protocol,
            path: "/".to_owned(),
            answer_time: Duration::ZERO,
        }
    }
}

/// A load that is being sent until it is told to stop.
pub struct Running {
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicUsize>,
    thread: JoinHandle<Result<Load>>,
}

impl Load {
    /// Sends `rate` requests a second from `client` to `target`, until stopped.
    pub fn start(
        client: &Namespace,
        target: SocketAddr,
        protocol: Protocol,
        rate: u32,
    ) -> Result<Running> {
        let question = Question::new(target, protocol);
        Running::start(client, question, rate, usize::MAX)
    }

    /// Sends `rate` HTTP requests a second from `client` to `target`, until stopped; the server takes its time for each.
    pub fn start_slow(
        client: &Namespace,
        target: SocketAddr,
        rate: u32,
        answer_ms: u32,
    ) -> Result<Running> {
        let question = Question {
            path: format!("/slow/{answer_ms}"),
            answer_time: Duration::from_millis(answer_ms.into()),
            ..Question::new(target, Protocol::Tcp)
        };
        Running::start(client, question, rate, usize::MAX)
    }

    /// Sends `rate` HTTP requests a second for `path` from `client` to `target`, until stopped.
    pub fn start_at(
        client: &Namespace,
        target: SocketAddr,
        path: &str,
        rate: u32,
    ) -> Result<Running> {
        let question = Question {
            path: path.to_owned(),
            ..Question::new(target, Protocol::Tcp)
        };
        Running::start(client, question, rate, usize::MAX)
    }

    /// Sends exactly `count` requests, `rate` a second.
    pub fn send(
        client: &Namespace,
        target: SocketAddr,
        protocol: Protocol,
        rate: u32,
        count: usize,
    ) -> Result<Load> {
        Running::start(client, Question::new(target, protocol), rate, count)?.finish()
    }

    /// Requests sent.
    pub fn sent(&self) -> usize {
        self.requests.len()
    }

    /// Requests answered.
    pub fn ok(&self) -> usize {
        self.requests
            .iter()
            .filter(|request| request.answer.is_ok())
            .count()
    }

    /// Requests not answered.
    pub fn failed(&self) -> usize {
        self.sent() - self.ok()
    }

    /// The requests sent at `moment` or later.
    pub fn since(&self, moment: Instant) -> Load {
        Load {
            requests: self
                .requests
                .iter()
                .filter(|request| request.sent >= moment)
                .cloned()
                .collect(),
        }
    }

    /// How often each name answered.
    pub fn names(&self) -> BTreeMap<&str, usize> {
        let mut names = BTreeMap::new();
        for name in self
            .requests
            .iter()
            .filter_map(|request| request.answer.as_deref().ok())
        {
            *names.entry(name).or_default() += 1;
        }
        names
    }

    /// Fails unless exactly these names answered, each at least so often.
    pub fn ensure_balanced(&self, names: &[&str], fewest: usize) -> Result<()> {
        let answers = self.names();
        for name in names {
            let count = answers.get(name).copied().unwrap_or_default();
            ensure!(
                count >= fewest,
                "{name} answered only {count} times: {answers:?}"
            );
        }
        ensure!(
            answers.len() == names.len(),
            "others answered too: {answers:?}"
        );
        Ok(())
    }

    /// Why requests failed, and how often.
    pub fn failures(&self) -> BTreeMap<&str, usize> {
        let mut failures = BTreeMap::new();
        for failure in self
            .requests
            .iter()
            .filter_map(|request| request.answer.as_ref().err())
        {
            *failures.entry(failure.as_str()).or_default() += 1;
        }
        failures
    }

    /// The time within which this share (0.5, 0.99) of the answered requests were answered.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut took: Vec<Duration> = self
            .requests
            .iter()
            .filter(|request| request.answer.is_ok())
            .map(|request| request.took)
            .collect();
        took.sort_unstable();
        let rank = (share * took.len() as f64).ceil() as usize;
        took.get(rank.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }
}

impl Running {
    fn start(client: &Namespace, question: Question, rate: u32, count: usize) -> Result<Running> {
        let entrance = client.entrance()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let ended = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            setns(&entrance, CloneFlags::CLONE_NEWNET).context("cannot enter the client")?;
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(send(&question, rate, count, &stopped, &counted))
        });
        Ok(Running {
            stop,
            ended,
            thread,
        })
    }

    /// Waits until so many more requests have been answered, or have failed, however long that takes.
    pub fn wait_for_more(&self, count: usize) -> Result<()> {
        let ended = || self.ended.load(Ordering::Relaxed);
        let wanted = ended() + count;
        while ended() < wanted {
            let before = ended();
            wait_for(&format!("{count} more requests"), HANGS, || {
                ensure!(ended() > before, "{} are missing", wanted - before);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Sends no more, waits for what is on its way.
    pub fn stop(self) -> Result<Load> {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }

    fn finish(self) -> Result<Load> {
        self.thread
            .join()
            .map_err(|_| anyhow!("the load generator panicked"))?
    }
}

async fn send(
    question: &Question,
    rate: u32,
    count: usize,
    stopped: &AtomicBool,
    ended: &AtomicUsize,
) -> Result<Load> {
    let rate = rate_of(rate);
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let most = most_at_once(rate, question.answer_time);
    let mut requests = JoinSet::new();
    let mut done = Vec::new();
    while requests.len() + done.len() < count && !stopped.load(Ordering::Relaxed) {
        ticks.tick().await;
        if requests.len() >= most
            && let Some(request) = requests.join_next().await
        {
            done.push(request?);
        }
        requests.spawn(request(question.clone()));
        while let Some(request) = requests.try_join_next() {
            done.push(request?);
        }
        ended.store(done.len(), Ordering::Relaxed);
    }
    while let Some(request) = requests.join_next().await {
        done.push(request?);
    }
    done.sort_by_key(|request: &Request| request.sent);
    Ok(Load { requests: done })
}

/// How many requests may be on their way: those of the time that answers take, and of [`BACKLOG`].
fn most_at_once(rate: u32, answer_time: Duration) -> usize {
    let seconds = (answer_time + BACKLOG).as_secs_f64();
    // A few, however slow the rate.
    ((f64::from(rate) * seconds) as usize).max(16)
}

async fn request(question: Question) -> Request {
    let sent = Instant::now();
    let answer = match question.protocol {
        Protocol::Tcp => timeout(patient(PATIENCE), get(question.target, &question.path)).await,
        Protocol::Udp => timeout(patient(PATIENCE), ask(question.target)).await,
    };
    let answer = match answer {
        Ok(answer) => answer.map_err(|error| format!("{error:#}")),
        Err(_) => Err(format!("no answer within {:?}", patient(PATIENCE))),
    };
    Request {
        sent,
        took: sent.elapsed(),
        answer,
    }
}

async fn get(target: SocketAddr, path: &str) -> Result<String> {
    let stream = TcpStream::connect(target).await.context("connect")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .context("handshake")?;
    let request = hyper::Request::get(path)
        .header(HOST, target.to_string())
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await.context("request")?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .context("body")?
            .to_bytes();
        if !status.is_success() {
            bail!("status {status}");
        }
        Ok(String::from_utf8_lossy(&body).trim_end().to_owned())
    };
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}

async fn ask(target: SocketAddr) -> Result<String> {
    let any = if target.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(target).await?;
    socket.send(b"who are you?").await?;
    let mut name = [0; 256];
    let length = socket.recv(&mut name).await?;
    Ok(String::from_utf8_lossy(&name[..length]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(answers: &[(u64, Result<&str, &str>)]) -> Load {
        let sent = Instant::now();
        let requests = answers
            .iter()
            .map(|(millis, answer)| Request {
                sent,
                took: Duration::from_millis(*millis),
                answer: answer.map(str::to_owned).map_err(str::to_owned),
            })
            .collect();
        Load { requests }
    }

    #[test]
    fn failures_are_counted_but_are_no_latency() {
        let load = load(&[
            (1, Ok("a")),
            (2, Ok("b")),
            (3, Ok("a")),
            (999, Err("no answer")),
        ]);
        assert_eq!((load.sent(), load.ok(), load.failed()), (4, 3, 1));
        assert_eq!(load.names(), BTreeMap::from([("a", 2), ("b", 1)]));
        assert_eq!(load.failures(), BTreeMap::from([("no answer", 1)]));
        assert_eq!(load.quantile(0.99), Duration::from_millis(3));
    }

    #[test]
    fn a_load_that_is_not_answered_does_not_pile_up() {
        // A server that takes connections, and answers none.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let question = Question::new(listener.local_addr().unwrap(), Protocol::Tcp);
        let most = most_at_once(100, Duration::ZERO);
        let (stopped, ended) = (AtomicBool::new(false), AtomicUsize::new(0));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let load = runtime
            .block_on(send(&question, 100, most + 5, &stopped, &ended))
            .unwrap();
        let first = load.requests[0].sent;
        let waited = |request: &&Request| request.sent - first >= patient(PATIENCE);
        assert_eq!((load.sent(), load.failed()), (most + 5, most + 5));
        assert!(
            load.requests
                .iter()
                .skip(most)
                .all(|request| waited(&request))
        );
    }

    #[test]
    fn as_many_may_be_on_their_way_as_answers_take_time() {
        assert_eq!(most_at_once(400, Duration::ZERO), 100);
        assert_eq!(most_at_once(400, Duration::from_millis(500)), 300);
        assert_eq!(most_at_once(1, Duration::ZERO), 16);
    }

    #[test]
    fn a_quantile_is_a_time_that_a_request_took() {
        let answers: Vec<_> = (1..=100).map(|millis| (millis, Ok("a"))).collect();
        assert_eq!(load(&answers).quantile(0.5), Duration::from_millis(50));
        assert_eq!(load(&answers).quantile(0.99), Duration::from_millis(99));
        assert_eq!(load(&[]).quantile(0.99), Duration::ZERO);
    }
}
