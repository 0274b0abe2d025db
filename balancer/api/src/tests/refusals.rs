//! What the server says to requests that are wrong.

use serde_json::Value;

use super::wire::ask;
use crate::testing::{
    daemon::{Daemon, Manner},
    samples::{add, web},
};

// Promise: C1
#[test]
fn every_wrong_request_is_told_what_is_wrong() {
    let daemon = Daemon::with(vec![add(web(&["10.1.0.10"]))]);
    let desired =
        r#"{"services": [{"name": "web", "vip": "198.51.100.10", "port": 8000, "backend": []}]}"#;
    let twice = r#"{"name": "b", "vip": "198.51.100.11", "port": 1, "backends": [{"address": "10.1.0.1"}, {"address": "10.1.0.1"}]}"#;
    let tcp_path = r#"{"name": "b", "vip": "198.51.100.11", "port": 1, "check": {"type": "tcp", "path": "/"}}"#;
    let rows = [
        (
            "GET",
            "/v2/status",
            "",
            404,
            "no_route",
            "no route GET /v2/status; there are: GET /v1/status",
        ),
        (
            "PATCH",
            "/v1/services",
            "",
            405,
            "method_not_allowed",
            "/v1/services does not take PATCH",
        ),
        (
            "GET",
            "/v1/status?verbose=1",
            "",
            400,
            "invalid",
            "unknown field `verbose`",
        ),
        (
            "GET",
            "/v1/backends?service=a_b",
            "",
            400,
            "invalid",
            "`a_b` is no service name",
        ),
        (
            "GET",
            "/v1/backends?service=mail",
            "",
            404,
            "not_found",
            "no service `mail`; `lbctl services list`",
        ),
        (
            "POST",
            "/v1/services",
            "{",
            400,
            "invalid",
            "the body is not what this route takes: EOF",
        ),
        (
            "POST",
            "/v1/services",
            "",
            400,
            "invalid",
            "the body is not what this route takes: EOF",
        ),
        (
            "POST",
            "/v1/services",
            r#"{"nom": "web"}"#,
            400,
            "invalid",
            "unknown field `nom`",
        ),
        (
            "POST",
            "/v1/services",
            twice,
            400,
            "invalid",
            "service `b`: backend 10.1.0.1: 10.1.0.1 is a backend of this service already; expected each backend once",
        ),
        (
            "POST",
            "/v1/services",
            tcp_path,
            400,
            "invalid",
            "service `b`: check.path: a tcp check has no path; expected no `path`, or another `type`",
        ),
        ("DELETE", "/v1/services/web", "", 422, "unsafe", "--force"),
        (
            "DELETE",
            "/v1/services/mail",
            "",
            404,
            "not_found",
            "`mail`",
        ),
        (
            "DELETE",
            "/v1/services/We%20b",
            "",
            400,
            "invalid",
            "`We b` is no service name",
        ),
        (
            "DELETE",
            "/v1/services/%ff",
            "",
            400,
            "invalid",
            "the path cannot be read",
        ),
        (
            "DELETE",
            "/v1/services/web?force",
            "",
            400,
            "invalid",
            "provided string was not `true` or `false`",
        ),
        (
            "POST",
            "/v1/services/web/backends",
            r#"{"address": "10.1.0.10"}"#,
            409,
            "conflict",
            "10.1.0.10",
        ),
        (
            "POST",
            "/v1/services/web/backends",
            r#"{"address": "10.1.0"}"#,
            400,
            "invalid",
            "invalid IP address",
        ),
        (
            "POST",
            "/v1/services/web/backends",
            r#"{"address": "10.1.0.1", "wieght": 2}"#,
            400,
            "invalid",
            "`wieght`",
        ),
        (
            "POST",
            "/v1/services/web/backends",
            r#"{"address": "10.1.0.1", "weight": 1001}"#,
            400,
            "invalid",
            "above 1000",
        ),
        (
            "POST",
            "/v1/services/web/backends?force=true",
            r#"{"address": "10.1.0.1"}"#,
            400,
            "invalid",
            "`force`",
        ),
        (
            "DELETE",
            "/v1/services/web/backends/10.1.0.10",
            "",
            422,
            "unsafe",
            "--force",
        ),
        (
            "DELETE",
            "/v1/services/web/backends/10.1.0.99",
            "",
            404,
            "not_found",
            "10.1.0.99",
        ),
        (
            "DELETE",
            "/v1/services/web/backends/ten",
            "",
            400,
            "invalid",
            "`ten` is no address",
        ),
        (
            "POST",
            "/v1/services/web/backends/10.1.0.10/drain",
            "",
            422,
            "unsafe",
            "--force",
        ),
        (
            "PUT",
            "/v1/services/web/backends/10.1.0.10/weight",
            r#"{"weight": 0}"#,
            422,
            "unsafe",
            "--force",
        ),
        (
            "PUT",
            "/v1/services/web/backends/10.1.0.10/weight",
            r#"{"weight": -1}"#,
            400,
            "invalid",
            "-1",
        ),
        (
            "PUT",
            "/v1/services/web/backends/10.1.0.10/weight",
            r#"{"weight": 1} {}"#,
            400,
            "invalid",
            "trailing",
        ),
        (
            "PUT",
            "/v1/desired",
            desired,
            400,
            "invalid",
            "unknown field `backend`",
        ),
        (
            "PUT",
            "/v1/desired",
            r#"{"services": []}"#,
            422,
            "unsafe",
            "--force",
        ),
    ];
    for (method, uri, body, status, code, sentence) in rows {
        let (got, reply) = ask(&daemon, method, uri, body);
        let told = format!("{method} {uri} {body} -> {got} {reply}");
        assert_eq!(got, status, "{told}");
        assert_eq!(reply["code"], code, "{told}");
        assert_eq!(reply["api_version"], "v1", "{told}");
        assert!(
            reply["error"].as_str().unwrap().contains(sentence),
            "{told}"
        );
    }
    let (_, services) = ask(&daemon, "GET", "/v1/services", "");
    assert_eq!(
        services["generation"], 1,
        "a refused change changed something"
    );
}

#[test]
fn a_dry_run_of_the_desired_set_may_be_asked_for_in_query_or_body() {
    let daemon = Daemon::with(vec![add(web(&["10.1.0.10"]))]);
    let (in_query, in_body) = (
        r#"{"services": [], "force": true}"#,
        r#"{"services": [], "dry_run": true}"#,
    );
    for (uri, body) in [
        ("/v1/desired?dry_run=true", in_query),
        ("/v1/desired?force=true", in_body),
    ] {
        let (status, reply) = ask(&daemon, "PUT", uri, body);
        assert_eq!(
            (status, &reply["dry_run"]),
            (200, &Value::Bool(true)),
            "{reply}"
        );
    }
    assert_eq!(
        ask(&daemon, "GET", "/v1/services", "").1["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

// Promise: C1
#[test]
fn a_daemon_that_cannot_persist_says_so() {
    let daemon = Daemon::start(Manner::Fails);
    let (status, reply) = ask(
        &daemon,
        "POST",
        "/v1/services/web/backends",
        r#"{"address": "10.1.0.1"}"#,
    );
    assert_eq!((status, &reply["code"]), (500, &"failed".into()));
    assert_eq!(reply["error"], "cannot write the state file: disk full");
}

#[test]
fn a_daemon_that_is_stopping_is_unavailable() {
    let daemon = Daemon::start(Manner::Stops);
    for (method, uri) in [
        ("GET", "/v1/status"),
        ("DELETE", "/v1/services/web"),
        ("POST", "/v1/detach"),
    ] {
        let (status, reply) = ask(&daemon, method, uri, "");
        assert_eq!(
            (status, &reply["code"]),
            (503, &"unavailable".into()),
            "{reply}"
        );
    }
}
