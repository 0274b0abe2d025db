//! A `stackpath_compute_workload` as a workload.

use std::cell::RefCell;

use balancer_core::model::Label;
use hcl_edit::{Span, structure::Block};

use super::{Declared, container, eval::Scope, meta, section::Section, source::Source, target};
use crate::workload::{Fate, Workload};

/// The annotation that asks for an anycast address.
const ANYCAST: &str = "anycast.platform.stackpath.net";

const KNOWN: [&str; 12] = [
    "name",
    "slug",
    "labels",
    "annotations",
    "network_interface",
    "container",
    "target",
    "image_pull_credentials",
    "container_runtime_settings",
    "virtual_machine",
    "virtual_machine_runtime_settings",
    "volume_claim",
];

/// The workload that a resource declares.
pub(super) fn workload<'a>(
    scope: &Scope<'a>,
    resource: &str,
    source: &'a Source,
    block: &'a Block,
) -> Option<Declared> {
    let places = RefCell::default();
    let place = source.place(block.ident.span());
    meta::arguments(scope, source, block);
    let entries = scope.body(source, &block.body, &meta::META);
    let section = Section::resource(scope.findings, &places, &entries, &place);
    section.knows(&KNOWN);
    refuse(&section);
    network(scope, &section);
    let anycast = annotations(scope, &section);
    for (key, field) in section.section("labels").iter().flat_map(Section::entries) {
        field.text("a string");
        let why = "labels select network policies, and there are none";
        let path = format!("labels.{key}");
        scope
            .findings
            .note(&field.value.place, path, Fate::Ignored, why);
    }

    let name = section.required("name", "a name");
    let slug = section.required("slug", Label::EXPECTED);
    let containers: Vec<_> = section.sections("container");
    let containers: Vec<_> = containers.iter().map(container::container).collect();
    let targets: Vec<_> = section.sections("target");
    let targets: Vec<_> = targets.iter().map(target::target).collect();
    let workload = Workload {
        name: name?.text("a name")?,
        slug: slug?.parse(Label::EXPECTED)?,
        anycast,
        containers: containers.into_iter().collect::<Option<_>>()?,
        targets: targets.into_iter().collect::<Option<_>>()?,
    };
    unreachable_ports(scope, &section, &workload);
    Some(Declared {
        resource: resource.to_owned(),
        workload,
        place,
        places: places.into_inner(),
    })
}

/// Refuses what would be wrong to ignore.
fn refuse(section: &Section<'_>) {
    for (key, problem, expected) in [
        (
            "virtual_machine",
            "virtual machines are not run here yet",
            "`container { ... }`",
        ),
        (
            "virtual_machine_runtime_settings",
            "virtual machines are not run here yet",
            "`container { ... }`",
        ),
        (
            "volume_claim",
            "there are no volumes, and what is written would be lost",
            "a workload that keeps its data elsewhere",
        ),
        (
            "image_pull_credentials",
            "images are pulled without credentials",
            "an image that each host's engine has or may pull",
        ),
        (
            "container_runtime_settings",
            "the runtime has no such settings, and its containers would run with others",
            "a workload without it",
        ),
    ] {
        if section.has(key).is_some() {
            section.error(key, problem, expected);
        }
    }
}

/// Whether an anycast address is asked for.
fn annotations(scope: &Scope<'_>, section: &Section<'_>) -> bool {
    let mut anycast = false;
    let annotations = section.section("annotations");
    for (key, field) in annotations.iter().flat_map(Section::entries) {
        if key == ANYCAST {
            anycast = field
                .word(&[("true", true), ("false", false)])
                .unwrap_or_default();
        } else if key.starts_with(ANYCAST) {
            let problem = "VIPs are chosen from the fleet file's pool";
            field.error(problem, format!("only {ANYCAST:?}"));
        } else if field.text("a string").is_some() {
            let path = format!("annotations.{key}");
            let why = "the annotation has no meaning here";
            scope
                .findings
                .note(&field.value.place, path, Fate::Ignored, why);
        }
    }
    anycast
}

/// Each instance has the one network of its host.
fn network(scope: &Scope<'_>, section: &Section<'_>) {
    let known = [
        "network",
        "enable_one_to_one_nat",
        "ip_families",
        "subnet",
        "ipv6_subnet",
    ];
    for (index, interface) in section.sections("network_interface").iter().enumerate() {
        interface.knows(&known);
        if index > 0 {
            let problem = "an instance has one network interface";
            interface.error("", problem, "one `network_interface`");
        }
        if let Some(network) = interface.required("network", "\"default\"") {
            network.word(&[("default", ())]);
        }
        for key in ["subnet", "ipv6_subnet"] {
            if let Some(field) = interface.field(key) {
                let problem = "the fleet file says which addresses a host's instances have";
                field.error(problem, "`network = \"default\"` alone");
            }
        }
        for key in ["enable_one_to_one_nat", "ip_families"] {
            if let Some(place) = interface.has(key) {
                let why = "the fleet file says which addresses a host's instances have";
                let path = interface.path_of(key);
                scope.findings.note(place, path, Fate::Replaced, why);
            }
        }
    }
}

/// Warns of an address without a port, and of ports without an address.
fn unreachable_ports(scope: &Scope<'_>, section: &Section<'_>, workload: &Workload) {
    let public = workload.ports().any(|port| port.public);
    if workload.anycast && !public {
        let place = section.has("annotations").unwrap_or(section.place);
        let text = "an anycast address is asked for, and no port has \
                    `enable_implicit_network_policy = true`: nothing can be reached through it";
        scope.findings.warning(place, text);
    }
    if !workload.anycast && public {
        let text = format!(
            "a port has `enable_implicit_network_policy = true`, and no anycast address is asked for by \
             the annotation {ANYCAST:?}: it is reached only at the instances' own addresses"
        );
        scope.findings.warning(section.place, text);
    }
}
