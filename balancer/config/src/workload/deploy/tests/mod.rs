//! From files and reports to a plan, and to the text of one.

mod interrupted;
mod vips;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use balancer_core::model::{City, Label};

use super::*;
use crate::{
    FleetConfig,
    workload::{Declared, SourceFile, read},
};

const STORY: &str = include_str!("../../../../../../docs/examples/main.tf");
const FLEET: &str = include_str!("../../../../../../docs/examples/fleet.toml");

fn declared(text: &str) -> Vec<Declared> {
    let name = "main.tf";
    read(&[SourceFile { name, text }], &[])
        .unwrap_or_else(|errors| panic!("{errors}"))
        .workloads
}

fn fleet(text: &str) -> FleetConfig {
    FleetConfig::parse(text, "fleet.toml").unwrap()
}

fn city(code: &str) -> City {
    code.parse().unwrap()
}

/// Sites that have nothing.
fn empty_sites() -> Reported {
    let empty = || SiteReport::Workloads(BTreeMap::new());
    BTreeMap::from([(city("SEA"), empty()), (city("DFW"), empty())])
}

/// What is left after a whole apply: the state file, and sites that run what it says.
fn applied(text: &str) -> (Record, Reported) {
    let (mut record, mut reported) = (Record::default(), empty_sites());
    for declared in declared(text) {
        let workload = &declared.workload;
        let vips = choose_vips(&fleet(FLEET), &record.vips().collect()).unwrap();
        record.begin_apply(&declared.resource, workload, vips.clone());
        record.finish(&workload.slug);
        for here in workload.cities() {
            let targets = workload.targets.iter().filter(|t| t.cities.contains(here));
            let report = ReportedWorkload {
                digest: workload.digest(),
                instance_digest: workload.instance_digest(),
                vips: vips.clone(),
                replicas: targets.map(|t| (t.name.clone(), t.min_replicas)).collect(),
            };
            let Some(SiteReport::Workloads(site)) = reported.get_mut(here) else {
                panic!("a site in {here}")
            };
            site.insert(workload.slug.clone(), report);
        }
    }
    (record, reported)
}

fn planned(text: &str, (record, reported): &(Record, Reported)) -> Plan {
    plan(&declared(text), record, &fleet(FLEET), reported).unwrap()
}

/// The one reason why there is no plan.
#[track_caller]
fn assert_refused(result: Result<Plan, Vec<PlanError>>, expected: &str) {
    let errors = result.expect_err("no plan");
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, [expected]);
}

fn counts(plan: &Plan) -> [u32; 6] {
    let counts = plan.counts();
    [
        counts.created,
        counts.changed,
        counts.destroyed,
        counts.started,
        counts.replaced,
        counts.stopped,
    ]
}

#[test]
fn the_first_plan_of_the_story_creates_everything() {
    let plan = planned(STORY, &(Record::default(), empty_sites()));
    let expected = r#"# my-anycast-workload will be created
+ resource "stackpath_compute_workload" "my-anycast-workload" {
    + name                                                     = "my-anycast-workload"
    + slug                                                     = "my-anycast-workload"
    + anycast                                                  = true
    + container["app"].image                                   = "web:latest"
    + container["app"].cpu                                     = 1000m
    + container["app"].memory                                  = 2Gi
    + container["app"].env["PYTHONUNBUFFERED"]                 = "1"
    + container["app"].readiness_probe                         = http :8000/, every 1 s after 0 s, timeout 1 s, 1 to pass, 2 to fail
    + container["app"].liveness_probe                          = tcp :8000, every 5 s after 10 s, timeout 1 s, 1 to pass, 4 to fail
    + container["app"].port["web"].port                        = 8000/tcp
    + container["app"].port["web"].enable_implicit_network_policy = true
    + target["global"].min_replicas                            = 3
    + target["global"].max_replicas                            = 4
    + target["global"].average_utilization                     = 50
    + target["global"].cities                                  = ["DFW", "SEA"]
    + vips = 198.51.100.1, 2001:db8:100::1 (from the pool)
    + DFW, target "global": 3 instances
    + SEA, target "global": 3 instances
  }

Plan: 1 to add, 0 to change, 0 to destroy. Instances: 6 to start, 0 to replace, 0 to stop.
"#;
    // Columns are as wide as the widest path.
    let squeeze = |text: &str| {
        let lines = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(squeeze(&plan.to_string()), squeeze(expected));
}

// Promise: W5
#[test]
fn a_plan_after_an_apply_changes_nothing() {
    let plan = planned(STORY, &applied(STORY));
    assert!(plan.is_empty());
    assert_eq!(
        plan.to_string(),
        "No changes. The sites run what the workload file says.\n"
    );
    // What the autoscaler has added is none of the plan's business.
    let (record, mut reported) = applied(STORY);
    grow(&mut reported, "SEA", 4);
    assert!(planned(STORY, &(record, reported)).is_empty());
}

/// The autoscaler of a city wants so many.
fn grow(reported: &mut Reported, code: &str, count: u32) {
    let Some(SiteReport::Workloads(site)) = reported.get_mut(&city(code)) else {
        panic!("a site in {code}")
    };
    for replicas in site.values_mut().flat_map(|w| w.replicas.values_mut()) {
        *replicas = count;
    }
}

// Promise: W5
#[test]
fn other_replicas_are_a_change_without_replacement() {
    let fewer = STORY.replace("min_replicas = 3", "min_replicas = 2");
    let more = STORY
        .replace("min_replicas = 3", "min_replicas = 5")
        .replace("max_replicas = 4", "max_replicas = 6");
    let plan = planned(&more, &applied(STORY));
    assert_eq!(counts(&plan), [0, 1, 0, 4, 0, 0]);
    let text = plan.to_string();
    for line in [
        "# my-anycast-workload will be changed\n",
        "    ~ target[\"global\"].min_replicas = 3 -> 5\n",
        "      vips = 198.51.100.1, 2001:db8:100::1 (kept)\n",
        "    ~ SEA, target \"global\": 3 -> 5 instances\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    // The autoscaler takes away what is above the new minimum, as its window lets it.
    assert_eq!(
        counts(&planned(&fewer, &applied(STORY))),
        [0, 1, 0, 0, 0, 0]
    );
    let (record, mut reported) = applied(STORY);
    grow(&mut reported, "SEA", 4);
    let least = STORY.replace("max_replicas = 4", "max_replicas = 3");
    assert_eq!(
        counts(&planned(&least, &(record, reported))),
        [0, 1, 0, 0, 0, 1]
    );
}

#[test]
fn what_an_instance_is_made_of_replaces_instances() {
    let other = STORY.replace("web:latest", "web:2");
    let plan = planned(&other, &applied(STORY));
    assert_eq!(counts(&plan), [0, 1, 0, 0, 6, 0]);
    let text = plan.to_string();
    for line in [
        "    ~ container[\"app\"].image = \"web:latest\" -> \"web:2\" # replaces instances\n",
        "    ~ DFW, target \"global\": 3 instances, replaced\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    // A port's reachability is the edges' business.
    let closed = STORY.replace("network_policy = true", "network_policy = false");
    assert_eq!(
        counts(&planned(&closed, &applied(STORY))),
        [0, 1, 0, 0, 0, 0]
    );
}

#[test]
fn another_city_is_created_and_a_city_that_went_is_destroyed() {
    let north = STORY.replace("[\"DFW\", \"SEA\"]", "[\"SEA\"]");
    let plan = planned(STORY, &applied(&north));
    assert_eq!(counts(&plan), [0, 1, 0, 3, 0, 0]);
    assert!(
        plan.to_string()
            .contains("    + DFW, target \"global\": 3 instances\n")
    );
    let plan = planned(&north, &applied(STORY));
    assert_eq!(counts(&plan), [0, 1, 0, 0, 0, 3]);
    assert!(
        plan.to_string()
            .contains("    - DFW, target \"global\": 3 instances -> none\n")
    );
}

#[test]
fn a_workload_that_left_the_file_is_destroyed() {
    let plan = planned("", &applied(STORY));
    assert_eq!(counts(&plan), [0, 0, 1, 0, 0, 6]);
    let text = plan.to_string();
    for line in [
        "# my-anycast-workload will be destroyed, each instance after it has drained\n",
        "    - vips = 198.51.100.1, 2001:db8:100::1 (back to the pool)\n",
        "    - SEA, target \"global\": 3 instances -> none\n",
        "Plan: 0 to add, 0 to change, 1 to destroy. Instances: 0 to start, 0 to replace, 6 to stop.\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

// Promise: W4
#[test]
fn a_secret_is_hidden_and_its_change_is_not() {
    let secret = |value: &str| STORY.replace("value = \"1\"", &format!("secret_value = {value:?}"));
    let (record, reported) = applied(&secret("hunter2"));
    assert!(!record.to_text().contains("hunter2"));
    let state = (record, reported);
    assert!(planned(&secret("hunter2"), &state).is_empty());
    let text = planned(&secret("hunter3"), &state).to_string();
    let change = "~ container[\"app\"].env[\"PYTHONUNBUFFERED\"] = (sensitive value) -> (sensitive value) # replaces instances\n";
    assert!(text.contains(change) && !text.contains("hunter"), "{text}");
}

#[test]
fn two_workloads_get_two_addresses() {
    let second = STORY[STORY.find("resource").unwrap()..STORY.find("output").unwrap()]
        .replace("my-anycast-workload", "second");
    let plan = planned(
        &format!("{STORY}{second}"),
        &(Record::default(), empty_sites()),
    );
    let vips: Vec<&Vips> = plan
        .workloads
        .iter()
        .map(|workload| &workload.vips)
        .collect();
    assert!(matches!(vips[..], [Vips::Chosen(_), Vips::Chosen(_)]) && vips[0] != vips[1]);
    // What a site has of somebody else's is in use, too.
    let (_, reported) = applied(STORY);
    let plan = planned(&second_alone(&second), &(Record::default(), reported));
    assert_eq!(
        plan.workloads[0].vips,
        Vips::Chosen(vec![
            "198.51.100.2".parse().unwrap(),
            "2001:db8:100::2".parse().unwrap()
        ])
    );
}

/// The second workload with the variable that it uses.
fn second_alone(resource: &str) -> String {
    format!("variable \"image\" {{\n default = \"web:latest\"\n}}\n{resource}")
}

#[test]
fn a_state_file_says_again_what_it_was_told() {
    let (record, _) = applied(STORY);
    let text = record.to_text();
    assert_eq!(Record::parse(&text, "balancer.state.json").unwrap(), record);
    let error = |text: &str| Record::parse(text, "s.json").unwrap_err().to_string();
    assert_eq!(
        error(&text.replace("\"version\": 1", "\"version\": 2")),
        "s.json: version 2 is not known to this program; use the one that wrote it, or a newer one"
    );
    assert!(
        error("").starts_with("s.json:1:1: EOF while parsing"),
        "{}",
        error("")
    );
    for length in (0..text.len() - 2).step_by(7) {
        assert!(Record::parse(&text[..length], "s.json").is_err());
    }
    assert!(error(&text.replace("\"serial\"", "\"cereal\"")).contains("unknown field `cereal`"));
    let odd = text.replace("\"slug\": \"my", "\"slug\": \"My");
    assert!(error(&odd).contains("is no DNS label"), "{}", error(&odd));
}
