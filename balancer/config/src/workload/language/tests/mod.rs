//! Whole files, and each thing that can be wrong with one.

mod accepted;
mod errors;
mod impossible;
mod language;
mod variables;

use super::*;
use crate::workload::Container;

/// The file that the documentation shows.
const STORY: &str = include_str!("../../../../../../docs/examples/main.tf");

/// Parts of a workload that lacks nothing, for tests to put others in their place.
const NAME: &str = "name = \"web\"\nslug = \"web\"\n";
const CONTAINER: &str = "container {\n name = \"app\"\n image = \"web:1\"\n resources {\n requests = { cpu = \"1\", memory = \"1Gi\" }\n }\n}\n";
const TARGET: &str = "target {\n name = \"global\"\n min_replicas = 1\n selector {\n key = \"cityCode\"\n operator = \"in\"\n values = [\"SEA\"]\n }\n}\n";

/// A file with one resource of this body.
fn resource(body: &str) -> String {
    format!("resource \"stackpath_compute_workload\" \"web\" {{\n{body}\n}}\n")
}

/// A file whose one workload's one container has these lines, too.
fn container(lines: &str) -> String {
    let container = CONTAINER.replace("image =", &format!("{lines}\n image ="));
    resource(&format!("{NAME}{container}{TARGET}"))
}

/// A file whose one workload has these lines, too.
fn workload(lines: &str) -> String {
    resource(&format!("{NAME}{CONTAINER}{TARGET}{lines}"))
}

fn try_read(text: &str) -> Result<Declarations, WorkloadErrors> {
    let name = "main.tf";
    read(&[SourceFile { name, text }], &[])
}

#[track_caller]
fn read_one(text: &str) -> Workload {
    let mut declarations = try_read(text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(declarations.workloads.len(), 1);
    declarations.workloads.remove(0).workload
}

fn first_container(text: &str) -> Container {
    read_one(text).containers.remove(0)
}

/// The text without its mark `§`, and the line and column where it was.
fn unmark(text: &str) -> (String, String) {
    let at = text
        .find('§')
        .unwrap_or_else(|| panic!("no mark in {text}"));
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.lines().last().unwrap_or_default().chars().count();
    let column = if before.ends_with('\n') {
        1
    } else {
        column + 1
    };
    (text.replacen('§', "", 1), format!("{line}:{column}"))
}

/// Reading `text` gives one error, at the mark `§`.
#[track_caller]
fn assert_error(text: &str, expected: &str) {
    let (text, at) = unmark(text);
    let errors = try_read(&text).map(|_| ()).expect_err(&text);
    assert_eq!(errors.to_string(), format!("main.tf:{at}: {expected}"));
}
