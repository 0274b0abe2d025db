//! What a whole file comes to.

use balancer_core::model::{CheckKind, Http, Protocol, Tcp};

use super::*;
use crate::workload::{Fate, Probe, Question};

// Promise: W1
#[test]
fn the_story_is_read_as_it_is_meant() {
    let declarations = try_read(STORY).unwrap();
    let [declared] = declarations.workloads.as_slice() else {
        panic!("one workload")
    };
    let workload = &declared.workload;
    assert_eq!(declared.resource, "my-anycast-workload");
    assert_eq!(workload.slug.as_str(), "my-anycast-workload");
    assert!(workload.anycast);

    let [app] = workload.containers.as_slice() else {
        panic!("one container")
    };
    assert_eq!(
        (app.name.as_str(), app.image.as_str()),
        ("app", "web:latest")
    );
    assert_eq!((app.cpu_millis, app.memory_bytes), (1_000, 2 << 30));
    assert_eq!(app.env["PYTHONUNBUFFERED"], "1");
    assert!(app.command.is_empty() && app.sensitive.is_empty());
    let [port] = app.ports.as_slice() else {
        panic!("one port")
    };
    assert_eq!((port.name.as_str(), port.port), ("web", 8000));
    assert_eq!((port.protocol, port.public), (Protocol::Tcp, true));
    let readiness = Probe {
        question: Question {
            kind: CheckKind::Http(Http::default()),
            port: 8000,
        },
        period_seconds: 1,
        timeout_seconds: 1,
        success_threshold: 1,
        failure_threshold: 2,
        initial_delay_seconds: 0,
    };
    assert_eq!(app.readiness, Some(readiness));
    let liveness = app.liveness.as_ref().unwrap();
    let asked = Question {
        kind: CheckKind::Tcp(Tcp {}),
        port: 8000,
    };
    assert_eq!(liveness.question, asked);
    assert_eq!(
        (liveness.period_seconds, liveness.initial_delay_seconds),
        (5, 10)
    );

    let [target] = workload.targets.as_slice() else {
        panic!("one target")
    };
    assert_eq!((target.min_replicas, target.max_replicas), (3, 4));
    assert_eq!(target.cpu_percent, Some(50));
    let cities: Vec<&str> = target.cities.iter().map(|city| city.as_str()).collect();
    assert_eq!(cities, ["DFW", "SEA"]);
    assert_eq!(
        workload.instance_name(target, &target.cities[1], 1),
        "my-anycast-workload-global-sea-1"
    );
    assert_eq!(
        workload.service_name(port).unwrap().as_str(),
        "my-anycast-workload-web"
    );
    assert_eq!(declarations.warnings, []);
}

// Promise: W2
#[test]
fn the_story_says_what_is_not_acted_on() {
    let notes = try_read(STORY).unwrap().notes;
    let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
    let credential =
        "is replaced: the fleet file says which sites run the workloads, and how they are reached";
    let unused = "is ignored: it has no value, and nothing that is acted on uses it";
    assert_eq!(
        notes,
        [
            "main.tf:8:3: `terraform.required_providers` is ignored: neither Terraform nor a provider of it runs".to_owned(),
            format!("main.tf:16:1: `variable \"stackpath_stack_id\"` {unused}"),
            format!("main.tf:17:1: `variable \"stackpath_client_id\"` {unused}"),
            format!("main.tf:18:1: `variable \"stackpath_client_secret\"` {unused}"),
            format!("main.tf:29:3: `provider.stackpath.stack_id` {credential}"),
            format!("main.tf:30:3: `provider.stackpath.client_id` {credential}"),
            format!("main.tf:31:3: `provider.stackpath.client_secret` {credential}"),
        ]
    );
}

#[test]
fn the_story_knows_the_places_of_its_parts() {
    let declarations = try_read(STORY).unwrap();
    let declared = &declarations.workloads[0];
    for (path, at) in [
        ("slug", "main.tf:36:10"),
        ("annotations", "main.tf:38:17"),
        ("container[0]", "main.tf:47:3"),
        ("container[0].image", "main.tf:49:13"),
        ("container[0].port[0].port", "main.tf:54:40"),
        ("container[0].env[0].nothing", "main.tf:66:5"),
        ("target[0].selector.values[1]", "main.tf:110:26"),
        ("target[0].selector.values[7]", "main.tf:110:18"),
        ("nothing", "main.tf:34:1"),
    ] {
        assert_eq!(declared.place(path).to_string(), at, "{path}");
    }
    let error = declared.error("target[0].selector.values[1]", "no site", "DFW");
    let expected = "main.tf:110:26: `target[0].selector.values[1]`: no site; expected DFW";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_output_shows_the_address_after_apply() {
    let declarations = try_read(STORY).unwrap();
    let output = &declarations.outputs[0];
    assert_eq!(output.name, "anycast-address");
    assert_eq!(output.value.render(&|_| None), "(known after apply)");
    let vips = |resource: &str| {
        assert_eq!(resource, "my-anycast-workload");
        Some(vec![
            "198.51.100.1".parse().unwrap(),
            "2001:db8::1".parse().unwrap(),
        ])
    };
    assert_eq!(
        output.value.render(&vips),
        "\"198.51.100.1/32,2001:db8::1/128\""
    );
}

#[test]
fn a_short_workload_has_the_defaults_of_the_provider_and_of_kubernetes() {
    let lines = "port {\n name = \"web\"\n port = 80\n}\nreadiness_probe {\n tcp_socket {\n port = 80\n }\n}";
    let workload = read_one(&container(lines));
    let app = &workload.containers[0];
    let port = &app.ports[0];
    assert_eq!((port.protocol, port.public), (Protocol::Tcp, false));
    let probe = app.readiness.as_ref().unwrap();
    assert_eq!((probe.period_seconds, probe.timeout_seconds), (10, 1));
    assert_eq!((probe.success_threshold, probe.failure_threshold), (1, 3));
    assert_eq!(probe.initial_delay_seconds, 0);
    assert!(!workload.anycast);
    let target = &workload.targets[0];
    assert_eq!((target.min_replicas, target.max_replicas), (1, 1));
    assert_eq!(target.cpu_percent, None);
}

#[test]
fn blocks_may_be_attributes_and_attributes_blocks() {
    let as_blocks = workload("annotations {\n \"anycast.platform.stackpath.net\" = true\n}");
    // HCL has no quoted attribute names, and Terraform neither.
    assert!(try_read(&as_blocks).is_err());

    let resources = container("").replace(
        "resources {\n requests = { cpu = \"1\", memory = \"1Gi\" }\n }",
        "resources = { requests = { cpu = 2, memory = 1024 } }",
    );
    let app = first_container(&resources);
    assert_eq!((app.cpu_millis, app.memory_bytes), (2_000, 1_024));
    let requests = container("").replace(
        "requests = { cpu = \"1\", memory = \"1Gi\" }",
        "requests {\n cpu = \"1\"\n memory = \"1Gi\"\n }",
    );
    assert_eq!(first_container(&requests).cpu_millis, 1_000);

    let ports = container("port = [{ name = \"a\", port = 1 }, { name = \"b\", port = \"2\" }]");
    let ports: Vec<u16> = first_container(&ports)
        .ports
        .iter()
        .map(|port| port.port)
        .collect();
    assert_eq!(ports, [1, 2]);
    let labels = workload("labels {\n role = \"web\"\n}");
    assert_eq!(try_read(&labels).unwrap().notes[0].path, "labels.role");
}

#[test]
fn values_are_converted_as_terraform_does() {
    let lines = "port {\n name = \"web\"\n port = \"80\"\n enable_implicit_network_policy = \"true\"\n}\nenv {\n key = \"N\"\n value = 1.50\n}\nenv {\n key = \"B\"\n value = true\n}\nenv {\n key = \"E\"\n value = 1e3\n}";
    let app = first_container(&container(lines));
    assert_eq!((app.ports[0].port, app.ports[0].public), (80, true));
    assert_eq!(
        [&app.env["N"], &app.env["B"], &app.env["E"]],
        ["1.5", "true", "1000"]
    );
    // `null` is "not set".
    let lines = "command = null\nreadiness_probe = null";
    assert_eq!(
        first_container(&container(lines)),
        first_container(&container(""))
    );
}

#[test]
fn a_secret_is_kept_apart() {
    let lines =
        "env {\n key = \"A\"\n secret_value = \"x\"\n}\nenv {\n key = \"B\"\n value = \"y\"\n}";
    let app = first_container(&container(lines));
    assert_eq!([&app.env["A"], &app.env["B"]], ["x", "y"]);
    assert_eq!(app.sensitive.iter().collect::<Vec<_>>(), ["A"]);
}

// Promise: W2
#[test]
fn terraforms_own_arguments_are_named_with_what_happens_to_them() {
    let lines = "depends_on = [stackpath_compute_workload.other]\nprovider = stackpath.west\nlifecycle {\n create_before_destroy = true\n prevent_destroy = false\n}\ntimeouts {\n create = \"1m\"\n}\nnetwork_interface {\n network = \"default\"\n enable_one_to_one_nat = true\n}";
    let notes = try_read(&workload(lines)).unwrap().notes;
    let fates: Vec<(&str, Fate)> = notes.iter().map(|n| (n.path.as_str(), n.fate)).collect();
    assert_eq!(
        fates,
        [
            ("depends_on", Fate::Ignored),
            ("provider", Fate::Ignored),
            ("lifecycle.create_before_destroy", Fate::Replaced),
            ("lifecycle.prevent_destroy", Fate::Ignored),
            ("timeouts", Fate::Replaced),
            ("network_interface[0].enable_one_to_one_nat", Fate::Replaced),
        ]
    );
}

#[test]
fn an_address_without_a_port_is_warned_of_and_a_port_without_an_address() {
    let anycast = "annotations = { \"anycast.platform.stackpath.net\" = \"true\" }";
    let warnings = |text: &str| {
        let warnings = try_read(text).unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let alone = warnings(&workload(anycast));
    assert!(
        alone[0].contains("nothing can be reached through it"),
        "{alone:?}"
    );
    let port =
        container("port {\n name = \"web\"\n port = 80\n enable_implicit_network_policy = true\n}");
    assert!(warnings(&port)[0].contains("only at the instances' own addresses"));
    let both = port.replace("slug =", &format!("{anycast}\nslug ="));
    assert_eq!(warnings(&both), [""; 0]);
}

#[test]
fn a_digest_changes_with_what_an_instance_is_made_of_and_nothing_else() {
    let digest = |text: &str| read_one(text).instance_digest();
    let story = digest(STORY);
    for other in [
        STORY.replace("min_replicas = 3", "min_replicas = 2"),
        STORY.replace("[\"DFW\", \"SEA\"]", "[\"SEA\"]"),
        STORY.replace("network_policy = true", "network_policy = false"),
        STORY.replace("name = \"my-anycast-workload\"", "name = \"Mine\""),
    ] {
        assert_eq!(digest(&other), story);
    }
    for other in [
        STORY.replace("web:latest", "web:2"),
        STORY.replace("value = \"1\"", "value = \"0\""),
        STORY.replace("\"2Gi\"", "\"1Gi\""),
        STORY.replace("period_seconds    = 1", "period_seconds    = 2"),
    ] {
        assert_ne!(digest(&other), story);
    }
}
