//! The rings inside a crate below `balancer`: a module imports only inward, and ports never each other (but for the state
//! directory that two of them share). Between crates the compiler checks it.

use super::Breach;
use super::source::Source;

/// Where a top-level module of a crate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ring {
    /// No clock, no I/O.
    Pure,
    /// One thing of the outside world each.
    Port,
    /// What people and machines see.
    Face,
    /// Puts it together.
    Daemon,
}

/// The crates in which nothing has a clock or I/O.
const PURE: [&str; 2] = ["core", "config"];

/// The modules of the crates with several rings.
const MODULES: [(&str, &str, Ring); 18] = [
    ("host", "clock", Ring::Port),
    ("host", "signals", Ring::Port),
    ("host", "netns", Ring::Port),
    ("host", "health", Ring::Port),
    ("host", "state_dir", Ring::Port),
    ("host", "store", Ring::Port),
    ("host", "journal", Ring::Port),
    ("host", "exit_code", Ring::Daemon),
    ("edge", "announce", Ring::Port),
    ("edge", "nexthop", Ring::Port),
    ("edge", "image", Ring::Pure),
    ("edge", "dataplane", Ring::Port),
    ("edge", "metrics", Ring::Face),
    ("edge", "daemon", Ring::Daemon),
    ("site", "site", Ring::Pure),
    ("site", "autoscale", Ring::Pure),
    ("site", "runtime", Ring::Port),
    ("site", "daemon", Ring::Daemon),
];

/// The ring of a module, if the crate has rings.
fn ring_of(name: &str, module: &str) -> Option<Ring> {
    MODULES
        .iter()
        .find(|(of, other, _)| *of == name && *other == module)
        .map(|(_, _, ring)| *ring)
}

/// Whether the source may have no clock and no I/O.
pub(super) fn is_pure(source: &Source) -> bool {
    source.module().is_some_and(|(name, module)| {
        PURE.contains(&name)
            || module
                .first()
                .is_some_and(|first| ring_of(name, first) == Some(Ring::Pure))
    })
}

pub(super) fn check(source: &Source) -> Vec<Breach> {
    let Some((name, module)) = source.module() else {
        return Vec::new();
    };
    let (Some(own), true) = (module.first(), has_rings(name)) else {
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
    let Some(ring) = ring_of(name, own) else {
        return vec![breach(
            1,
            format!("`{own}` belongs to no ring: name it in xtask/src/lint/rings.rs"),
        )];
    };
    imports(&source.code, &module)
        .into_iter()
        .filter(|(_, other)| !allowed(name, own, ring, other))
        .map(|(line, other)| {
            breach(
                line,
                format!("`{own}` imports `{other}`, which is not inward of it"),
            )
        })
        .collect()
}

fn has_rings(name: &str) -> bool {
    MODULES.iter().any(|(of, _, _)| *of == name)
}

fn allowed(name: &str, own: &str, ring: Ring, other: &str) -> bool {
    // Words that are no module of the root (`crate::Thing`) are nobody's import.
    let Some(inner) = ring_of(name, other) else {
        return true;
    };
    own == other
        || match ring {
            Ring::Daemon => inner != Ring::Daemon,
            // store and journal keep their files in one state directory, under one lock
            Ring::Port if ["store", "journal"].contains(&own) && other == "state_dir" => true,
            Ring::Face | Ring::Port | Ring::Pure => inner == Ring::Pure,
        }
}

/// Every top-level module that the code names, with its line: by `crate::x`, `crate::{x, y}`, or enough `super::`.
fn imports(code: &str, module: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, root) in code.match_indices("crate::") {
        if !code[..at].ends_with(is_word) {
            found.extend(first_names(code, at + root.len()));
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
            (
                "balancer/edge/src/daemon/edge/mod.rs",
                "use crate::{dataplane, metrics};",
            ),
            (
                "balancer/host/src/health/probe.rs",
                "use balancer_core::model::Check;\nuse super::Target;",
            ),
            ("balancer/site/src/runtime/mod.rs", "use crate::site::plan;"),
            (
                "balancer/host/src/exit_code.rs",
                "use crate::state_dir::StateDirError;",
            ),
            // Crates without rings, where the compiler checks all there is.
            ("balancer/core/src/state/mod.rs", "use crate::table::Table;"),
            ("balancer/lbctl/src/status.rs", "use crate::table::Table;"),
            ("balancer/src/main.rs", "use crate::anything;"),
        ] {
            assert_eq!(breaches(file, text), [""; 0], "{file}");
        }
    }

    #[test]
    fn a_pure_module_does_not_know_a_port() {
        assert_eq!(
            breaches(
                "balancer/site/src/site/checks.rs",
                "\nuse crate::runtime::State;"
            ),
            [
                "balancer/site/src/site/checks.rs:2: `site` imports `runtime`, which is not inward of it"
            ]
        );
    }

    #[test]
    fn ports_do_not_know_each_other() {
        assert_eq!(
            breaches(
                "balancer/edge/src/dataplane/mod.rs",
                "use crate::nexthop::spawn;"
            )
            .len(),
            1
        );
    }

    #[test]
    fn store_and_journal_share_the_state_directory_and_nothing_else() {
        for (file, text, found) in [
            ("store", "use crate::state_dir::StateDir;", 0),
            ("journal", "use crate::state_dir::StateDir;", 0),
            ("journal", "use crate::store::Store;", 1),
            ("health", "use crate::state_dir::StateDir;", 1),
            ("state_dir", "use crate::store::Store;", 1),
        ] {
            let file = format!("balancer/host/src/{file}/mod.rs");
            assert_eq!(breaches(&file, text).len(), found, "{file}: {text}");
        }
    }

    #[test]
    fn a_face_does_not_know_a_port() {
        let text = "use crate::dataplane::Counters;";
        assert_eq!(breaches("balancer/edge/src/metrics/mod.rs", text).len(), 1);
    }

    #[test]
    fn nothing_imports_the_daemon() {
        let text = "use crate::daemon::edge;";
        assert_eq!(breaches("balancer/edge/src/nexthop/mod.rs", text).len(), 1);
    }

    #[test]
    fn braces_and_supers_hide_nothing() {
        let text = "use crate::{\n    health::{Report, Target},\n    store::Store,\n};\n";
        assert_eq!(breaches("balancer/host/src/health/mod.rs", text).len(), 1);
        assert_eq!(
            breaches(
                "balancer/host/src/health/mod.rs",
                "use super::store::Store;"
            )
            .len(),
            1
        );
        assert_eq!(
            breaches(
                "balancer/host/src/health/http.rs",
                "use super::super::store::Store;"
            )
            .len(),
            1
        );
    }

    #[test]
    fn a_path_in_an_expression_is_an_import_too() {
        let text = "fn f() { crate::dataplane::attach() }";
        assert_eq!(breaches("balancer/edge/src/announce/mod.rs", text).len(), 1);
    }

    #[test]
    fn tests_set_their_scene_with_what_they_need() {
        let text = "use crate::dataplane::attach;";
        assert_eq!(
            breaches("balancer/edge/src/nexthop/tests/mod.rs", text),
            [""; 0]
        );
        assert_eq!(breaches("balancer/edge/src/nexthop/mod.rs", text).len(), 1);
    }

    #[test]
    fn a_module_that_nobody_placed_is_refused() {
        assert!(breaches("balancer/edge/src/utils.rs", "")[0].contains("belongs to no ring"));
    }
}
