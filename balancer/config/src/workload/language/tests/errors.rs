//! Each error names file, line, column, what is wrong and what was expected.

use super::*;

/// One container with these lines more, one of them marked.
#[track_caller]
pub(super) fn in_container(lines: &str, expected: &str) {
    assert_error(&container(lines), expected);
}

/// One workload with these lines more, one of them marked.
#[track_caller]
pub(super) fn in_workload(lines: &str, expected: &str) {
    assert_error(&workload(lines), expected);
}

/// One workload whose target has these lines.
#[track_caller]
pub(super) fn in_target(lines: &str, expected: &str) {
    let target = format!("target {{\n{lines}\n}}\n");
    assert_error(&resource(&format!("{NAME}{CONTAINER}{target}")), expected);
}

/// The selector of a target that lacks nothing.
pub(super) const SELECTOR: &str =
    "selector {\n key = \"cityCode\"\n operator = \"in\"\n values = [\"SEA\"]\n}";

// Promise: W1
#[test]
fn what_is_missing() {
    let without = |what: &str| {
        let text = workload("").replacen(what, "", 1);
        text.replacen("resource", "§resource", 1)
    };
    assert_error(
        &without("name = \"web\"\n"),
        "`name`: it is missing; expected a name",
    );
    assert_error(
        &without("slug = \"web\"\n"),
        "`slug`: it is missing; expected 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends",
    );
    assert_error(
        &without(CONTAINER),
        "`container`: it has no container, so there is nothing to run; expected at least one block `container { ... }`",
    );
    assert_error(
        &without(TARGET),
        "`target`: it has no target, so it runs nowhere; expected at least one block `target { ... }`",
    );
    let image = container("").replace(" image = \"web:1\"\n", "");
    assert_error(
        &image.replace("container {", "§container {"),
        "`container[0].image`: it is missing; expected an image, such as \"nginx:latest\"",
    );
    in_container(
        "§port {\n port = 80\n}",
        "`container[0].port[0].name`: it is missing; expected 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends",
    );
    in_container(
        "§port {\n name = \"web\"\n}",
        "`container[0].port[0].port`: it is missing; expected a whole number, 1 to 65535",
    );
    in_container(
        "§env {\n key = \"A\"\n}",
        "`container[0].env[0].value`: it is missing; expected a string",
    );
    let requests = container("").replace("cpu = \"1\", ", "");
    assert_error(
        &requests.replace("requests = {", "requests = §{"),
        "`container[0].resources.requests.cpu`: it is missing; expected an amount of CPU, such as \"1\", \"500m\" or \"0.5\"",
    );
    let resources = container("").replace("requests = { cpu = \"1\", memory = \"1Gi\" }", "");
    assert_error(
        &resources.replace("resources {", "§resources {"),
        "`container[0].resources.requests`: it is missing; expected `resources { requests = { \"cpu\" = \"1\", \"memory\" = \"2Gi\" } }`",
    );
    let target = format!("name = \"a\"\n{SELECTOR}");
    let text = resource(&format!("{NAME}{CONTAINER}§target {{\n{target}\n}}\n"));
    assert_error(
        &text,
        "`target[0].min_replicas`: it is missing; expected how many instances each city has at least",
    );
    let text = resource(&format!(
        "{NAME}{CONTAINER}§target {{\nname = \"a\"\nmin_replicas = 1\n}}\n"
    ));
    assert_error(
        &text,
        "`target[0].selector`: it is missing; expected `selector { key = \"cityCode\", operator = \"in\", values = [\"SEA\"] }`",
    );
}

// Promise: W1
#[test]
fn what_there_is_not() {
    in_container(
        "§imge = \"web:2\"",
        "`container[0].imge`: there is no such attribute or block; expected `image`",
    );
    in_container(
        "§zone = 1",
        "`container[0].zone`: there is no such attribute or block; expected only name, image, command, port, resources, env, readiness_probe, liveness_probe, volume_mount, security_context",
    );
    in_container(
        "port {\n name = \"a\"\n port = 1\n §protocoll = \"TCP\"\n}",
        "`container[0].port[0].protocoll`: there is no such attribute or block; expected `protocol`",
    );
    in_workload(
        "§targets {\n}",
        "`targets`: there is no such attribute or block; expected `target`",
    );
    in_workload(
        "annotations = { \"anycast.platform.stackpath.net/subnets\" = §\"198.51.100.0/24\" }",
        "`annotations.anycast.platform.stackpath.net/subnets`: VIPs are chosen from the fleet file's pool; expected only \"anycast.platform.stackpath.net\"",
    );
    assert_error(
        "§resorce \"stackpath_compute_workload\" \"web\" {\n}",
        "`resorce`: there is no such block; expected `resource`",
    );
    assert_error(
        "§zone {\n}",
        "`zone`: there is no such block; expected only terraform, variable, provider, output, resource",
    );
    assert_error(
        "§name = \"web\"",
        "`name`: it stands outside of every block; expected it in a block",
    );
    assert_error(
        "terraform {\n §requird_version = \"1\"\n}",
        "`terraform.requird_version`: there is no such attribute or block; expected `required_version`",
    );
    assert_error(
        "provider \"stackpath\" {\n §client_key = \"1\"\n}",
        "`provider.stackpath.client_key`: there is no such attribute or block; expected `client_id`",
    );
    assert_error(
        "output \"o\" {\n value = 1\n §zone = 1\n}",
        "`zone`: there is no such attribute or block; expected only value, description, sensitive, ephemeral",
    );
}

// Promise: W2
#[test]
fn what_would_be_wrong_to_ignore() {
    for (lines, expected) in [
        (
            "§virtual_machine {\n name = \"vm\"\n}",
            "`virtual_machine`: virtual machines are not run here yet; expected `container { ... }`",
        ),
        (
            "§volume_claim {\n name = \"v\"\n}",
            "`volume_claim`: there are no volumes, and what is written would be lost; expected a workload that keeps its data elsewhere",
        ),
        (
            "§image_pull_credentials {\n}",
            "`image_pull_credentials`: images are pulled without credentials; expected an image that each host's engine has or may pull",
        ),
        (
            "§container_runtime_settings {\n}",
            "`container_runtime_settings`: the runtime has no such settings, and its containers would run with others; expected a workload without it",
        ),
        (
            "§provisioner \"local-exec\" {\n command = \"true\"\n}",
            "`provisioner`: nothing is run on an instance but its containers; expected an image that has what it needs",
        ),
        (
            "lifecycle {\n §prevent_destroy = true\n}",
            "`lifecycle.prevent_destroy`: the workload would be destroyed all the same; expected a resource without it",
        ),
        (
            "lifecycle {\n §ignore_changes = [labels]\n}",
            "`lifecycle.ignore_changes`: a change would be made all the same; expected a resource without it",
        ),
        (
            "network_interface {\n network = §\"vpc\"\n}",
            "`network_interface[0].network`: \"vpc\"; expected \"default\"",
        ),
        (
            "network_interface {\n network = \"default\"\n subnet = §\"10.0.0.0/8\"\n}",
            "`network_interface[0].subnet`: the fleet file says which addresses a host's instances have; expected `network = \"default\"` alone",
        ),
        (
            "network_interface {\n network = \"default\"\n}\n§network_interface {\n network = \"default\"\n}",
            "`network_interface[1]`: an instance has one network interface; expected one `network_interface`",
        ),
    ] {
        in_workload(lines, expected);
    }
    in_container(
        "§volume_mount {\n slug = \"v\"\n mount_path = \"/v\"\n}",
        "`container[0].volume_mount`: there are no volumes, and what is written would be lost; expected a container that keeps its data elsewhere",
    );
    in_container(
        "§security_context {\n run_as_user = \"1\"\n}",
        "`container[0].security_context`: it is not applied, and the container would have other rights; expected a container without it",
    );
    let probe =
        |inner: &str| format!("readiness_probe {{\n http_get {{\n port = 80\n {inner}\n }}\n}}");
    in_container(
        &probe("scheme = §\"HTTPS\""),
        "`container[0].readiness_probe.http_get.scheme`: \"HTTPS\"; expected \"HTTP\"",
    );
    in_container(
        &probe("http_headers = §{ a = \"b\" }"),
        "`container[0].readiness_probe.http_get.http_headers`: no header is sent but those that HTTP asks for; expected a path that answers without them",
    );
    in_target(
        &format!(
            "name = \"a\"\nmin_replicas = 1\nmax_replicas = 2\n{SELECTOR}\nscale_settings {{\n metrics {{\n metric = \"cpu\"\n average_value = §\"500m\"\n }}\n}}"
        ),
        "`target[0].scale_settings.metrics.average_value`: an amount of CPU is not aimed at; expected `average_utilization`, in percent",
    );
}

// Promise: W1
#[test]
fn a_value_of_another_type_or_out_of_range() {
    in_container(
        "command = §\"python3\"",
        "`container[0].command`: it is a string; expected a list of strings, such as [\"python3\", \"app.py\"]",
    );
    in_container(
        "command = [\"a\", §[\"b\"]]",
        "`container[0].command[1]`: it is a list; expected a string",
    );
    in_container(
        "port = §80",
        "`container[0].port[0]`: it is a number; expected a block `port { ... }`",
    );
    let port = |lines: &str| format!("port {{\n name = \"a\"\n {lines}\n}}");
    for (value, problem) in [
        ("0", "0 is out of range"),
        ("65536", "65536 is out of range"),
        ("-1", "-1 is out of range"),
        ("80.5", "\"80.5\""),
        ("\"http\"", "\"http\""),
        ("99999999999999999999999", "\"1e23\""),
        ("true", "\"true\""),
    ] {
        in_container(
            &port(&format!("port = §{value}")),
            &format!("`container[0].port[0].port`: {problem}; expected a whole number, 1 to 65535"),
        );
    }
    in_container(
        &port("port = 1\n protocol = §\"SCTP\""),
        "`container[0].port[0].protocol`: \"SCTP\"; expected \"TCP\" or \"UDP\"",
    );
    in_container(
        &port("port = 1\n enable_implicit_network_policy = §\"yes\""),
        "`container[0].port[0].enable_implicit_network_policy`: it is a string; expected true or false",
    );
    in_container(
        "port {\n name = §\"Web\"\n port = 80\n}",
        "`container[0].port[0].name`: \"Web\" is no DNS label; expected 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends",
    );
    in_container(
        "env {\n key = §\"A=B\"\n value = \"\"\n}",
        "`container[0].env[0].key`: \"A=B\" can be no variable's name; expected a name, such as \"PYTHONUNBUFFERED\"",
    );
    in_container(
        "env {\n key = \"A\"\n value = \"\"\n}\nenv {\n key = §\"A\"\n value = \"\"\n}",
        "`container[0].env[1].key`: \"A\" is set already; expected each key once",
    );
    in_container(
        "env {\n key = \"A\"\n value = \"\"\n secret_value = §\"\"\n}",
        "`container[0].env[0].secret_value`: it has a `value`, too; expected one of them",
    );
    for (was, is, expected) in [
        (
            "cpu = \"1\"",
            "cpu = §\"1 CPU\"",
            "`container[0].resources.requests.cpu`: \"1 CPU\"; expected an amount of CPU, such as \"1\", \"500m\" or \"0.5\"",
        ),
        (
            "memory = \"1Gi\"",
            "memory = §\"1GB\"",
            "`container[0].resources.requests.memory`: \"1GB\"; expected an amount of memory, such as \"2Gi\", \"512Mi\", \"2G\" or a number of bytes",
        ),
        (
            "image = \"web:1\"",
            "image = §\"web 1\"",
            "`container[0].image`: \"web 1\"; expected an image, such as \"nginx:latest\"",
        ),
        (
            "slug = \"web\"",
            "slug = §\"my_web\"",
            "`slug`: \"my_web\" is no DNS label; expected 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends",
        ),
        (
            "name = \"web\"\n",
            "name = §\"\"\n",
            "`name`: it is empty; expected a name",
        ),
    ] {
        assert_error(&container("").replacen(was, is, 1), expected);
    }
}

#[test]
fn a_probe_that_cannot_be() {
    in_container(
        "§readiness_probe {\n}",
        "`container[0].readiness_probe`: it asks nothing; expected `tcp_socket { port = ... }` or `http_get { port = ... }`",
    );
    in_container(
        "readiness_probe {\n tcp_socket {\n port = 1\n }\n §http_get {\n port = 1\n }\n}",
        "`container[0].readiness_probe.http_get`: it asks two things; expected `tcp_socket { port = ... }` or `http_get { port = ... }`",
    );
    in_container(
        "readiness_probe {\n tcp_socket {\n port = 1\n }\n period_seconds = §0\n}",
        "`container[0].readiness_probe.period_seconds`: 0 is out of range; expected a whole number, 1 to 86400",
    );
    in_container(
        "liveness_probe {\n http_get {\n port = 1\n path = §\"healthz\"\n }\n}",
        "`container[0].liveness_probe.http_get.path`: \"healthz\"; expected a path that begins with `/`, without spaces or control characters",
    );
    in_container(
        "liveness_probe {\n tcp_socket {\n port = 1\n }\n success_threshold = §2\n}",
        "`container[0].liveness_probe.success_threshold`: a container that failed is restarted, and has no second success; expected 1",
    );
    in_container(
        "liveness_probe {\n tcp_socket {\n port = 1\n }\n}\n§liveness_probe {\n tcp_socket {\n port = 1\n }\n}",
        "`container[0].liveness_probe`: it is there already; expected it once",
    );
}
