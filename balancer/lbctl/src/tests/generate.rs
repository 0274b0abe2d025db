//! Help, completions and manual pages.

use std::{collections::BTreeSet, fs};

use clap::{Command, CommandFactory};

use super::run;
use crate::cli::Cli;

/// Every command but the generator's own `help`, as people type it.
fn commands(command: &Command, above: &str) -> Vec<String> {
    let name = format!("{above} {}", command.get_name())
        .trim_start()
        .to_owned();
    let below = command
        .get_subcommands()
        .filter(|below| below.get_name() != "help");
    let mut all: Vec<_> = below.flat_map(|below| commands(below, &name)).collect();
    all.push(name);
    all
}

fn all() -> Vec<String> {
    commands(&Cli::command(), "")
}

#[test]
fn the_command_line_contradicts_itself_nowhere() {
    Cli::command().debug_assert();
    assert_eq!(all().len(), 26, "{:?}", all());
}

#[test]
fn the_help_of_every_command_has_an_example_of_it() {
    for command in all() {
        let ran = run(&format!("{} --help", command.trim_start_matches("lbctl")));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{command}");
        let (_, examples) = ran
            .out
            .split_once("\nExample")
            .unwrap_or_else(|| panic!("{command}: no example"));
        let words: Vec<_> = command.split(' ').skip(1).collect();
        let shown = examples
            .lines()
            .any(|line| line.contains("lbctl") && line.contains(&words.join(" ")));
        assert!(shown, "{command}: {examples}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(run(&format!("man {}", directory.path().display())).code, 0);
    let pages: BTreeSet<String> = fs::read_dir(&directory)
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected: BTreeSet<String> = all()
        .iter()
        .map(|command| format!("{}.1", command.replace(' ', "-")))
        .collect();
    assert_eq!(pages, expected);
    let page = fs::read_to_string(directory.path().join("lbctl-services-add.1")).unwrap();
    assert!(page.contains(".SH EXAMPLES\n"), "{page}");
    assert!(
        page.contains(concat!("Balancer ", env!("CARGO_PKG_VERSION"))),
        "{page}"
    );
    assert_eq!(
        run("man").out,
        fs::read_to_string(directory.path().join("lbctl.1")).unwrap()
    );
}

#[test]
fn manual_pages_need_a_directory_that_is_there() {
    let ran = run("man /nowhere");
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.starts_with("lbctl: cannot write into /nowhere: "),
        "{ran:?}"
    );
}

#[test]
fn shells_can_complete() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(&format!("completions {shell}"));
        assert_eq!(ran.code, 0);
        assert!(
            ran.out.contains("lbctl") && ran.out.contains("backends"),
            "{shell}"
        );
    }
}

#[test]
fn the_version_is_told() {
    assert_eq!(
        run("--version").out,
        concat!("lbctl ", env!("CARGO_PKG_VERSION"), "\n")
    );
}
