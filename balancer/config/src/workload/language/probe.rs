//! `readiness_probe` and `liveness_probe`.

use balancer_core::model::{CheckKind, Http, Tcp};

use super::section::Section;
use crate::workload::{Probe, Question};

/// A day; longer is a mistake.
const LONGEST_SECONDS: u32 = 86_400;

/// Reads a probe; `None` if something is wrong with it. Defaults are those of Kubernetes:
/// <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Probe>.
pub(super) fn probe(section: &Section<'_>) -> Option<Probe> {
    section.knows(&[
        "tcp_socket",
        "http_get",
        "period_seconds",
        "timeout_seconds",
        "success_threshold",
        "failure_threshold",
        "initial_delay_seconds",
    ]);
    let number = |key: &str, least: u32, most: u32, otherwise: u32| match section.field(key) {
        Some(field) => field.integer(least..=most),
        None => Some(otherwise),
    };
    let question = question(section);
    let period_seconds = number("period_seconds", 1, LONGEST_SECONDS, 10);
    let timeout_seconds = number("timeout_seconds", 1, LONGEST_SECONDS, 1);
    let success_threshold = number("success_threshold", 1, 1_000, 1);
    let failure_threshold = number("failure_threshold", 1, 1_000, 3);
    let initial_delay_seconds = number("initial_delay_seconds", 0, LONGEST_SECONDS, 0);
    Some(Probe {
        question: question?,
        period_seconds: period_seconds?,
        timeout_seconds: timeout_seconds?,
        success_threshold: success_threshold?,
        failure_threshold: failure_threshold?,
        initial_delay_seconds: initial_delay_seconds?,
    })
}

fn question(section: &Section<'_>) -> Option<Question> {
    let expected = "`tcp_socket { port = ... }` or `http_get { port = ... }`";
    match (section.section("tcp_socket"), section.section("http_get")) {
        (Some(tcp), None) => {
            tcp.knows(&["port"]);
            let (kind, port) = (CheckKind::Tcp(Tcp {}), port(&tcp)?);
            Some(Question { kind, port })
        }
        (None, Some(http)) => {
            http.knows(&["port", "path", "scheme", "http_headers"]);
            if let Some(scheme) = http.field("scheme") {
                scheme.word(&[("HTTP", ())]);
            }
            if http.has("http_headers").is_some() {
                let problem = "no header is sent but those that HTTP asks for";
                http.error("http_headers", problem, "a path that answers without them");
            }
            let path = http.field("path");
            let kind = CheckKind::Http(match &path {
                Some(path) => Http {
                    path: path.text(Http::EXPECTED)?,
                },
                None => Http::default(),
            });
            if let (Some(path), Err(broken)) = (&path, kind.check_bounds()) {
                path.error(broken.problem, broken.expected);
                return None;
            }
            let port = port(&http)?;
            Some(Question { kind, port })
        }
        (None, None) => {
            section.error("", "it asks nothing", expected);
            None
        }
        (Some(_), Some(second)) => {
            second.error("", "it asks two things", expected);
            None
        }
    }
}

fn port(section: &Section<'_>) -> Option<u16> {
    let field = section.required("port", "a whole number, 1 to 65535")?;
    u16::try_from(field.integer(1..=65_535)?).ok()
}
