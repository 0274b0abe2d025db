//! The four rings of `balancer/src`: a module imports only inward, and ports never each other (but for the state directory that two of them share).

use super::Breach;
use super::source::Source;

/// Where a top-level module stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ring {
    /// No clock, no I/O.
    Pure,
    /// One thing of the outside world each.
    Port,
    /// What people and machines see.
    Face,
    /// Puts it together; only the binaries import it.
    Daemon,
    /// The binaries and the root of the library.
    Outermost,
}

const MODULES: [(&str, Ring); 22] = [
    ("model", Ring::Pure),
    ("config", Ring::Pure),
    ("table", Ring::Pure),
    ("state", Ring::Pure),
    ("reconcile", Ring::Pure),
    ("workload", Ring::Pure),
    ("autoscale", Ring::Pure),
    ("site", Ring::Pure),
    ("announce", Ring::Port),
    ("state_dir", Ring::Port),
    ("store", Ring::Port),
    ("journal", Ring::Port),
    ("health", Ring::Port),
    ("nexthop", Ring::Port),
    ("netns", Ring::Port),
    ("dataplane", Ring::Port),
    ("runtime", Ring::Port),
    ("api", Ring::Face),
    ("site_api", Ring::Face),
    ("metrics", Ring::Face),
    ("lbctl", Ring::Face),
    ("daemon", Ring::Daemon),
];

/// The ring of a top-level module, if it has one.
pub(super) fn ring_of(module: &str) -> Option<Ring> {
    match module {
        "lib" | "bin" => Some(Ring::Outermost),
        _ => MODULES
            .iter()
            .find(|(name, _)| *name == module)
            .map(|(_, ring)| *ring),
    }
}

pub(super) fn check(source: &Source) -> Vec<Breach> {
    let Some(module) = source.module() else {
        return Vec::new();
    };
    let Some(own) = module.first() else {
        return Vec::new();
    };
    // A port's tests may set their scene with another port.
    if module.iter().any(|part| part == "tests") {
        return Vec::new();
    }
    let breach = |line: usize, what: String| Breach {
        file: source.file.clone(),
        line,
        what,
    };
    let Some(ring) = ring_of(own) else {
        return vec![breach(
            1,
            format!("`{own}` belongs to no ring: name it in xtask/src/lint/rings.rs"),
        )];
    };
    imports(&source.code, &module)
        .into_iter()
        .filter(|(_, other)| !allowed(own, ring, other))
        .map(|(line, other)| {
            breach(
                line,
                format!("`{own}` imports `{other}`, which is not inward of it"),
            )
        })
        .collect()
}

fn allowed(own: &str, ring: Ring, other: &str) -> bool {
    // Words that are no module of the root (`crate::Thing`) are nobody's import.
    let Some((_, inner)) = MODULES.iter().find(|(name, _)| *name == other) else {
        return true;
    };
    own == other
        || match ring {
            Ring::Outermost => true,
            Ring::Daemon => *inner != Ring::Daemon,
            // metrics and lbctl show the views of the api
            Ring::Face => *inner == Ring::Pure || ["api", "site_api"].contains(&other),
            // store and journal keep their files in one state directory, under one lock
            Ring::Port if ["store", "journal"].contains(&own) && other == "state_dir" => true,
            Ring::Port | Ring::Pure => *inner == Ring::Pure,
        }
}

/// Every top-level module that the code names, with its line: by `crate::x`, `balancer::x`,
/// `crate::{x, y}`, or enough `super::`.
fn imports(code: &str, module: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for root in ["crate", "balancer"] {
        for (at, _) in code.match_indices(&format!("{root}::")) {
            if !code[..at].ends_with(is_word) {
                found.extend(first_names(code, at + root.len() + 2));
            }
        }
    }
    for (at, _) in code.match_indices("super::") {
        // Only the first `super` of a chain begins one.
        if code[..at].ends_with("super::") || code[..at].ends_with(is_word) {
            continue;
        }
        let supers = code[at..]
            .split("::")
            .take_while(|part| *part == "super")
            .count();
        if supers >= module.len() {
            found.extend(first_names(code, at + supers * "super::".len()));
        }
    }
    found.sort();
    found
}

/// The name that begins at `at`, or the first names of the braces there.
fn first_names(code: &str, at: usize) -> Vec<(usize, String)> {
    let name_at = |at: usize| {
        let name: String = code[at..].chars().take_while(|c| is_word(*c)).collect();
        let line = code[..at].matches('\n').count() + 1;
        (!name.is_empty()).then_some((line, name))
    };
    if !code[at..].starts_with('{') {
        return name_at(at).into_iter().collect();
    }
    let mut depth = 0;
    let mut names = Vec::new();
    let mut expected = false;
    for (offset, c) in code[at..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 1 && (c == '{' || c == ',') {
            expected = true;
        } else if expected && is_word(c) {
            names.extend(name_at(at + offset));
            expected = false;
        }
    }
    names
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn breaches(file: &str, text: &str) -> Vec<String> {
        check(&Source::new(Path::new(file), text))
            .iter()
            .map(Breach::to_string)
            .collect()
    }

    #[test]
    fn inward_is_allowed() {
        for (file, text) in [
            ("balancer/src/table/mod.rs", "use crate::model::Weight;"),
            (
                "balancer/src/health/probe.rs",
                "use crate::model::Check;\nuse super::Target;",
            ),
            (
                "balancer/src/lbctl/mod.rs",
                "use crate::api::views::Snapshot;",
            ),
            (
                "balancer/src/daemon/edge/mod.rs",
                "use crate::{api, dataplane, health};",
            ),
            ("balancer/src/bin/lbd.rs", "use balancer::daemon;"),
        ] {
            assert_eq!(breaches(file, text), [""; 0], "{file}");
        }
    }

    #[test]
    fn a_pure_module_does_not_know_a_port() {
        assert_eq!(
            breaches(
                "balancer/src/table/build.rs",
                "\nuse crate::dataplane::Maps;"
            ),
            [
                "balancer/src/table/build.rs:2: `table` imports `dataplane`, which is not inward of it"
            ]
        );
    }

    #[test]
    fn ports_do_not_know_each_other() {
        assert_eq!(
            breaches("balancer/src/health/mod.rs", "use crate::nexthop::spawn;").len(),
            1
        );
    }

    #[test]
    fn store_and_journal_share_the_state_directory_and_nothing_else() {
        for (file, text, found) in [
            (
                "balancer/src/store/mod.rs",
                "use crate::state_dir::StateDir;",
                0,
            ),
            (
                "balancer/src/journal/mod.rs",
                "use crate::state_dir::StateDir;",
                0,
            ),
            ("balancer/src/journal/mod.rs", "use crate::store::Store;", 1),
            (
                "balancer/src/health/mod.rs",
                "use crate::state_dir::StateDir;",
                1,
            ),
            (
                "balancer/src/state_dir/mod.rs",
                "use crate::store::Store;",
                1,
            ),
        ] {
            assert_eq!(breaches(file, text).len(), found, "{file}: {text}");
        }
    }

    #[test]
    fn a_face_does_not_know_a_port() {
        assert_eq!(
            breaches("balancer/src/metrics/mod.rs", "use crate::store::Store;").len(),
            1
        );
    }

    #[test]
    fn nothing_imports_the_daemon() {
        assert_eq!(
            breaches("balancer/src/api/server.rs", "use crate::daemon::edge;").len(),
            1
        );
    }

    #[test]
    fn braces_and_supers_hide_nothing() {
        let text = "use crate::{\n    model::{Check, Weight},\n    store::Store,\n};\n";
        assert_eq!(breaches("balancer/src/health/mod.rs", text).len(), 1);
        assert_eq!(
            breaches("balancer/src/health/mod.rs", "use super::store::Store;").len(),
            1
        );
        assert_eq!(
            breaches(
                "balancer/src/health/http.rs",
                "use super::super::store::Store;"
            )
            .len(),
            1
        );
    }

    #[test]
    fn a_path_in_an_expression_is_an_import_too() {
        let text = "fn f() { crate::dataplane::attach() }";
        assert_eq!(breaches("balancer/src/api/mod.rs", text).len(), 1);
    }

    #[test]
    fn tests_set_their_scene_with_what_they_need() {
        let text = "use crate::netns::Scratch;";
        assert_eq!(breaches("balancer/src/nexthop/tests/mod.rs", text), [""; 0]);
        assert_eq!(breaches("balancer/src/nexthop/mod.rs", text).len(), 1);
    }

    #[test]
    fn a_module_that_nobody_placed_is_refused() {
        assert!(breaches("balancer/src/utils.rs", "")[0].contains("belongs to no ring"));
    }
}
