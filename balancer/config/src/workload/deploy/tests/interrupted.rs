//! What an apply or a destroy left half done, and what cannot be done.

use super::*;

// Promise: W5
#[test]
fn an_interrupted_apply_is_finished() {
    let (_, reported) = applied(STORY);
    for stopped_after in ["nothing", "SEA", "everything"] {
        let mut record = Record::default();
        let story = &declared(STORY)[0];
        let vips = choose_vips(&fleet(FLEET), &BTreeSet::new()).unwrap();
        record.begin_apply(&story.resource, &story.workload, vips.clone());
        let mut there = reported.clone();
        for code in ["SEA", "DFW"] {
            if stopped_after != "everything" && stopped_after != code {
                there.insert(city(code), SiteReport::Workloads(BTreeMap::new()));
            }
        }
        let plan = planned(STORY, &(record, there));
        assert_eq!(plan.workloads[0].action, Action::Change, "{stopped_after}");
        assert_eq!(plan.workloads[0].vips, Vips::Kept(vips));
        let text = plan.to_string();
        assert!(
            text.contains("(what was interrupted the last time is finished)"),
            "{text}"
        );
        let started = plan.counts().started;
        assert_eq!(
            started,
            if stopped_after == "everything" {
                0
            } else {
                started
            }
        );
    }
}

// Promise: W5
#[test]
fn an_interrupted_destroy_is_finished_or_undone() {
    let (mut record, mut reported) = applied(STORY);
    let slug: Label = "my-anycast-workload".parse().unwrap();
    record.begin_destroy(&slug);
    reported.insert(city("SEA"), SiteReport::Workloads(BTreeMap::new()));
    let state = (record, reported);
    assert_eq!(counts(&planned("", &state)), [0, 0, 1, 0, 0, 3]);
    assert_eq!(counts(&planned(STORY, &state)), [0, 1, 0, 3, 0, 0]);
    let (mut record, _) = state;
    record.finish(&slug);
    assert!(record.workloads.is_empty());
}

// Promise: W5
#[test]
fn a_city_that_an_interrupted_apply_may_have_reached_is_looked_at() {
    let north = STORY.replace("[\"DFW\", \"SEA\"]", "[\"SEA\"]");
    let (mut record, reported) = applied(STORY);
    let story = &declared(&north)[0];
    let vips: Vec<IpAddr> = record.vips().collect();
    record.begin_apply(&story.resource, &story.workload, vips);
    let plan = planned(&north, &(record, reported));
    let gone = plan.workloads[0]
        .cities
        .iter()
        .find(|plan| plan.city == city("DFW"));
    assert_eq!(gone.map(|plan| plan.action), Some(Action::Destroy));
}

#[test]
fn what_the_fleet_does_not_have_is_refused_with_its_place() {
    let record = Record::default();
    let known = fleet(FLEET);
    let unknown = STORY.replace("\"SEA\"", "\"AMS\"");
    assert_refused(
        plan(&declared(&unknown), &record, &known, &empty_sites()),
        "main.tf:110:26: `target[0].selector.values[1]`: fleet.toml has no site in AMS; expected SEA or DFW",
    );
    let mut silent = empty_sites();
    let why = "connection refused".to_owned();
    silent.insert(city("SEA"), SiteReport::Unreachable { why });
    assert_refused(
        plan(&declared(STORY), &record, &known, &silent),
        "site SEA does not answer: connection refused; start `lbd site` there, or correct its `api` in fleet.toml",
    );
    let (_, reported) = applied(STORY);
    let errors = plan(&declared(STORY), &record, &known, &reported).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "main.tf:36:10: workload `my-anycast-workload` runs in DFW already, and the state file does not know it; choose another slug, or apply with the state file that it was applied with"
    );
    let (record, mut reported) = applied(STORY);
    let smaller = &FLEET[..FLEET.rfind("[[site]]").unwrap()];
    reported.remove(&city("DFW"));
    assert_refused(
        plan(&[], &record, &fleet(smaller), &reported),
        "workload `my-anycast-workload` is in DFW, and fleet.toml has no site there; put the site back until it is destroyed",
    );
}
