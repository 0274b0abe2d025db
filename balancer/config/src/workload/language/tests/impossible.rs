//! Wishes that nobody can fulfil: numbers, places, and the same thing twice.

use balancer_core::model::{CheckKind, Http};

use super::{
    errors::{SELECTOR, in_container, in_target, in_workload},
    *,
};
use crate::workload::{Question, rules};

// Promise: W1
#[test]
fn an_impossible_number_of_instances() {
    let scale = "scale_settings {\n metrics {\n metric = \"cpu\"\n average_utilization = 50\n }\n}";
    in_target(
        &format!("name = \"a\"\nmin_replicas = 3\nmax_replicas = §2\n{scale}\n{SELECTOR}"),
        "`target[0].max_replicas`: 2 is below min_replicas, which is 3; expected at least 3",
    );
    in_target(
        &format!("name = \"a\"\nmin_replicas = 3\n§{scale}\n{SELECTOR}"),
        "`target[0].scale_settings`: it scales, and `max_replicas` is missing; expected how many instances each city has at most",
    );
    in_target(
        &format!("name = \"a\"\nmin_replicas = 3\nmax_replicas = §4\n{SELECTOR}"),
        "`target[0].max_replicas`: nothing says when to run more than 3; expected `scale_settings`, or no `max_replicas`",
    );
    in_target(
        &format!("name = \"a\"\nmin_replicas = §0\n{SELECTOR}"),
        "`target[0].min_replicas`: 0 is out of range; expected a whole number, 1 to 1000",
    );
    let scaled = |is: &str| {
        let scale = scale.replace("average_utilization = 50", is);
        format!("name = \"a\"\nmin_replicas = 1\nmax_replicas = 2\n{scale}\n{SELECTOR}")
    };
    in_target(
        &scaled("average_utilization = §101"),
        "`target[0].scale_settings.metrics.average_utilization`: 101 is out of range; expected a whole number, 1 to 100",
    );
    in_target(
        &scaled("average_utilization = 50").replace("\"cpu\"", "§\"memory\""),
        "`target[0].scale_settings.metrics.metric`: \"memory\"; expected \"cpu\"",
    );
}

#[test]
fn a_selector_that_selects_otherwise() {
    let target = |was: &str, is: &str| {
        format!(
            "name = \"a\"\nmin_replicas = 1\n{}",
            SELECTOR.replace(was, is)
        )
    };
    in_target(
        &target("\"in\"", "§\"notIn\""),
        "`target[0].selector.operator`: \"notIn\"; expected \"in\"",
    );
    in_target(
        &target("\"cityCode\"", "§\"countryCode\""),
        "`target[0].selector.key`: \"countryCode\"; expected \"cityCode\"",
    );
    in_target(
        &target("[\"SEA\"]", "[\"SEA\", §\"sea\"]"),
        "`target[0].selector.values[1]`: \"sea\" is no city code; expected three letters A-Z, such as \"SEA\"",
    );
    in_target(
        &target("[\"SEA\"]", "[\"SEA\", §\"SEA\"]"),
        "`target[0].selector.values[1]`: SEA is there already; expected each city once",
    );
    in_target(
        &target("[\"SEA\"]", "§[]"),
        "`target[0].selector.values`: it names no city; expected at least one",
    );
    in_target(
        &format!("deployment_scope = §\"region\"\n{}", target("", "")),
        "`target[0].deployment_scope`: \"region\"; expected \"cityCode\"",
    );
}

// Promise: W1
#[test]
fn the_same_twice() {
    let port = |name: &str, number: u16| format!("port {{\n name = {name}\n port = {number}\n}}\n");
    in_container(
        &format!("{}{}", port("\"a\"", 1), port("§\"a\"", 2)),
        "`container[0].port[1].name`: another port is called \"a\"; expected a name that no other port of the workload has",
    );
    in_container(
        &format!(
            "{}{}",
            port("\"a\"", 1),
            port("\"b\"", 1).replace("port = ", "port = §")
        ),
        "`container[0].port[1].port`: 1/tcp is there already; expected each port and protocol once, for the containers share one network",
    );
    // Each container's ports are in the one network.
    let second = CONTAINER.replace("\"app\"", "\"side\"");
    let second = second.replace("image", &format!("{}image", port("\"b\"", 1)));
    let text = container(&port("\"a\"", 1)).replace("target {", &format!("{second}target {{"));
    let at = text.rfind("port = 1").unwrap() + "port = ".len();
    let marked = format!("{}§{}", &text[..at], &text[at..]);
    assert_error(
        &marked,
        "`container[1].port[0].port`: 1/tcp is there already; expected each port and protocol once, for the containers share one network",
    );
    in_workload(
        &TARGET.replace("\"global\"", "§\"global\""),
        "`target[1].name`: another target is called \"global\"; expected a name of its own",
    );
    in_workload(
        &CONTAINER.replace("\"app\"", "§\"app\""),
        "`container[1].name`: another container is called \"app\"; expected a name of its own",
    );
    let other =
        |name: &str| workload("").replace("_workload\" \"web\"", &format!("_workload\" {name}"));
    assert_error(
        &format!(
            "{}{}",
            workload(""),
            other("\"b\"").replace("slug = ", "slug = §")
        ),
        "`slug`: another workload has the slug \"web\"; expected a slug of its own",
    );
    assert_error(
        &format!("{}§{}", workload(""), other("\"web\"")),
        "`resource`: \"web\" is declared at main.tf:1:1 already; expected each name once",
    );
    assert_error(
        "variable \"a\" {}\n§variable \"a\" {}",
        "`variable`: \"a\" is declared at main.tf:1:1 already; expected each name once",
    );
    in_workload(
        "§name = \"other\"",
        "cannot be read: name = \"other\"; expected unique attribute key; found redefined attribute",
    );
}

#[test]
fn names_that_would_be_those_of_another() {
    let other = |slug: &str, target: &str| {
        workload("")
            .replace("_workload\" \"web\"", "_workload\" \"other\"")
            .replace("slug = \"web\"", &format!("slug = \"{slug}\""))
            .replace("\"global\"", &format!("\"{target}\""))
    };
    let first = workload("").replace("\"global\"", "\"a-b\"");
    assert_error(
        &format!("{first}{}", other("web-a", "b").replace("\"b\"", "§\"b\"")),
        "`target[0].name`: another workload has instances called `web-a-b-...`; expected another slug or target name",
    );
    let long = "a".repeat(58);
    assert_error(
        &workload("")
            .replace("\"web\"\n", &format!("\"{long}\"\n"))
            .replace("\"global\"", "§\"global\""),
        "`target[0].name`: its instances' names are longer than 63 bytes; expected a shorter slug or target name",
    );
}

// Promise: W1
#[test]
fn every_error_of_a_file_is_told() {
    let text = container("port {\n name = \"A\"\n port = 0\n}").replace("\"1Gi\"", "\"1GB\"");
    let errors = try_read(&text).unwrap_err();
    let paths: Vec<&str> = errors.0.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "container[0].port[0].name",
            "container[0].port[0].port",
            "container[0].resources.requests.memory"
        ]
    );
    assert_eq!(errors.to_string().lines().count(), 3);
}

/// Whoever declares a workload to a site may not have read it from a file.
#[test]
fn a_probe_that_no_file_could_have() {
    let mut workload = read_one(STORY);
    let readiness = workload.containers[0].readiness.as_mut().unwrap();
    readiness.question = Question {
        kind: CheckKind::Http(Http {
            path: "healthz".to_owned(),
        }),
        port: 0,
    };
    let broken = rules::check([&workload]);
    let told: Vec<String> = (broken.iter())
        .map(|each| format!("{}: {}", each.path, each.problem))
        .collect();
    assert_eq!(
        told,
        [
            "container[0].readiness_probe.path: \"healthz\"",
            "container[0].readiness_probe.port: it is 0"
        ]
    );
}
