//! What Prometheus scrapes of an agent: the fates of the packets of each instance.

use std::{future::Future, io};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use balancer_api::{server::serve_router, views::ReasonCount};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use super::{exposition::Exposition, server::TEXT_FORMAT};

/// The fates of an instance's packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceCounts {
    /// The instance's name.
    pub instance: String,
    /// In the order of the reasons' numbers.
    pub reasons: Vec<ReasonCount>,
}

/// A question for the counts of every instance whose programs are attached.
pub type Scrape = oneshot::Sender<Vec<InstanceCounts>>;

/// The counts in Prometheus' classic text format, ready to be scraped.
pub fn render(instances: &[InstanceCounts]) -> String {
    let mut page = Exposition::default();
    let mut packets = page.counter(
        "lb_agent_packets_total",
        "Packets that an instance's programs saw, by what became of them.",
    );
    for InstanceCounts { instance, reasons } in instances {
        for count in reasons {
            packets.sample(
                &[("instance", instance), ("reason", &count.reason)],
                count.packets,
            );
        }
    }
    page.into_text()
}

/// Answers `GET /metrics` on a listener that exists until `shutdown` is ready.
///
/// # Errors
///
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    scrapes: mpsc::Sender<Scrape>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "Only /metrics is here.\n") })
        .with_state(scrapes);
    serve_router(listener, router, shutdown).await
}

async fn metrics(State(scrapes): State<mpsc::Sender<Scrape>>) -> Response {
    let (reply, answer) = oneshot::channel();
    if scrapes.send(reply).await.is_ok()
        && let Ok(counts) = answer.await
    {
        return ([(CONTENT_TYPE, TEXT_FORMAT)], render(&counts)).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "lbd agent is stopping.\n").into_response()
}

#[cfg(test)]
mod tests {
    use balancer_api::views::Verdict;

    use super::*;

    fn count(reason: &str, packets: u64) -> ReasonCount {
        ReasonCount {
            reason: reason.to_owned(),
            verdict: Verdict::Drop,
            packets,
        }
    }

    // Promise: O3
    #[test]
    fn every_instance_has_a_series_of_every_reason() {
        let counts = ["one", "two"].map(|name| InstanceCounts {
            instance: name.to_owned(),
            reasons: vec![count("bad_gue_header", 2), count("decapsulated", 3)],
        });
        assert_eq!(
            render(&counts),
            "# HELP lb_agent_packets_total Packets that an instance's programs saw, by what became of them.\n\
             # TYPE lb_agent_packets_total counter\n\
             lb_agent_packets_total{instance=\"one\",reason=\"bad_gue_header\"} 2\n\
             lb_agent_packets_total{instance=\"one\",reason=\"decapsulated\"} 3\n\
             lb_agent_packets_total{instance=\"two\",reason=\"bad_gue_header\"} 2\n\
             lb_agent_packets_total{instance=\"two\",reason=\"decapsulated\"} 3\n"
        );
    }

    #[test]
    fn an_agent_without_instances_says_nothing() {
        assert_eq!(render(&[]), "");
    }
}
