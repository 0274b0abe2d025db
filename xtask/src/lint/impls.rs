//! A struct has one owner: its inherent `impl` blocks stand in the file that defines it.

use std::collections::BTreeSet;
use std::path::Path;

use super::Breach;
use super::source::Source;

/// What stood elsewhere when the rule came: file and type. The list only gets shorter.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("balancer-common/src/directory.rs", "Service"),
    ("balancer-common/src/directory/writing.rs", "Line"),
    ("balancer-common/src/directory/writing.rs", "Service"),
    ("balancer/api/src/client/exchange.rs", "Client"),
    ("balancer/lbctl/src/lib.rs", "Cli"),
    ("balancer/site/src/runtime/builtin/start.rs", "Builtin"),
    ("balancer/site/src/runtime/docker/image.rs", "Docker"),
    ("balancer/site/src/runtime/docker/launch.rs", "Docker"),
    ("balancer/site/src/runtime/docker/logs.rs", "Docker"),
    ("balancer/site/src/runtime/docker/network.rs", "Docker"),
    ("balancer/site/src/runtime/docker/observe.rs", "Docker"),
    ("balancer/core/src/state/desired.rs", "Draft"),
    ("balancer/core/src/state/desired.rs", "ServiceState"),
    ("balancer/core/src/state/drain.rs", "Draft"),
    ("balancer/core/src/state/drain.rs", "ServiceState"),
    ("balancer/core/src/state/lifecycle.rs", "Draft"),
    ("balancer/core/src/state/lifecycle.rs", "ServiceState"),
    ("balancer/core/src/state/operation.rs", "State"),
    ("balancer/core/src/state/settle.rs", "ServiceState"),
    ("balancer/core/src/state/tests/fixture.rs", "State"),
    ("balancer/core/src/state/transition.rs", "State"),
    ("balancer/core/src/table/memory.rs", "Table"),
    ("balancer/core/src/table/step.rs", "Table"),
    ("balancer/config/src/workload/deploy/counts.rs", "Plan"),
    ("balancer/config/src/workload/deploy/render.rs", "Action"),
    ("balancer/config/src/workload/language/names.rs", "Scope"),
    ("tests/src/control.rs", "Edge"),
    ("tests/src/maps.rs", "Edge"),
    ("tests/src/memory.rs", "Edge"),
    ("tests/tests/packets/agreement/agent.rs", "Site"),
    ("tests/tests/packets/moves.rs", "Site"),
];

const HERE: &str = "xtask/src/lint/impls.rs";

pub(super) fn check(sources: &[Source]) -> Vec<Breach> {
    check_with(sources, EXCEPTIONS)
}

fn check_with(sources: &[Source], exceptions: &[(&str, &str)]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut unused: BTreeSet<(&str, &str)> = exceptions.iter().copied().collect();
    for source in sources {
        let defined = defined(&source.code);
        for (line, name) in inherent_impls(&source.code) {
            if defined.contains(name) {
                continue;
            }
            let is_excepted = exceptions.iter().any(|&(file, other)| {
                source.file == Path::new(file) && name == other && {
                    unused.remove(&(file, other));
                    true
                }
            });
            if !is_excepted {
                breaches.push(Breach {
                    file: source.file.clone(),
                    line,
                    what: format!(
                        "`impl {name}` outside the file that defines `{name}`: move it there, or make a function of it"
                    ),
                });
            }
        }
    }
    breaches.extend(unused.iter().map(|(file, name)| Breach {
        file: HERE.into(),
        line: 1,
        what: format!("{file} has no `impl {name}` any more: take it out of the exceptions"),
    }));
    breaches
}

/// The names of the types that the code defines.
fn defined(code: &str) -> BTreeSet<&str> {
    let words: Vec<&str> = code
        .split(|c: char| !is_word(c))
        .filter(|word| !word.is_empty())
        .collect();
    words
        .windows(2)
        .filter(|pair| ["struct", "enum", "union"].contains(&pair[0]))
        .map(|pair| pair[1])
        .collect()
}

/// The types of the `impl` blocks that implement no trait, with their lines.
fn inherent_impls(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, keyword) in code.match_indices("impl") {
        let (before, rest) = (&code[..at], &code[at + keyword.len()..]);
        if before.ends_with(is_word) || rest.starts_with(is_word) {
            continue;
        }
        // An `impl Trait` in a type stands behind `:`, `>`, `(`, `,`, `=` or `&`.
        let before = before.trim_end();
        let before = before.strip_suffix("unsafe").unwrap_or(before).trim_end();
        if !(before.is_empty() || before.ends_with(['{', '}', ';', ']'])) {
            continue;
        }
        let Some((header, _)) = rest.split_once('{') else {
            continue;
        };
        let header = header.split(" where").next().unwrap_or(header);
        let header = without_generics(header).trim_start();
        if header.split_whitespace().any(|word| word == "for") {
            continue;
        }
        let path = header.split(['<', ' ', '\n']).next().unwrap_or(header);
        let name = path.rsplit("::").next().unwrap_or(path);
        if !name.is_empty() && name.chars().all(is_word) {
            let line = code[..at].matches('\n').count() + 1;
            found.push((line, name));
        }
    }
    found
}

/// What follows the `<...>` that the header begins with, if it does.
fn without_generics(header: &str) -> &str {
    let mut depth = 0;
    let mut previous = ' ';
    for (at, c) in header.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if previous != '-' => depth -= 1,
            _ if depth == 0 => return &header[at..],
            _ => {}
        }
        previous = c;
    }
    header
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(text: &str, exceptions: &[(&str, &str)]) -> Vec<String> {
        let sources = [Source::new(Path::new("a.rs"), text)];
        check_with(&sources, exceptions)
            .iter()
            .map(Breach::to_string)
            .collect()
    }

    #[test]
    fn an_impl_beside_its_type_or_of_a_trait_is_fine() {
        for text in [
            "struct A;\nimpl A {}\n",
            "pub enum A<T> { B(T) }\nimpl<T: for<'a> Fn(&'a T) -> T> A<T> {}\n",
            "impl fmt::Display for A {}\n",
            "impl<'a, T> From<&'a T> for A\nwhere\n    T: Copy,\n{}\n",
            "fn f(x: impl Into<A>) -> impl Iterator<Item = A> { g() }\n",
            "fn f() -> impl A { g() }\n",
            "// impl A {\n",
            "macro_rules! m { ($a:ident) => { impl $a {} } }\n",
        ] {
            assert_eq!(breaches(text, &[]), [""; 0], "{text}");
        }
    }

    #[test]
    fn an_impl_away_from_its_type_is_found() {
        for text in [
            "use super::A;\nimpl A {\n",
            "use super::A;\nimpl<'a> super::A<'a> {\n",
            "use super::A;\nimpl<T> A<T>\nwhere\n    T: Copy,\n{\n",
            "use super::A;\n#[cfg(test)]\nimpl A {\n",
        ] {
            let found = breaches(text, &[]);
            assert_eq!(found.len(), 1, "{text}");
            assert!(found[0].contains("`impl A` outside the file"), "{found:?}");
        }
    }

    #[test]
    fn exceptions_only_go() {
        let text = "use super::A;\nimpl A {}\n";
        assert_eq!(breaches(text, &[("a.rs", "A")]), [""; 0]);
        assert_eq!(breaches(text, &[("b.rs", "A")]).len(), 2);
        assert_eq!(breaches(text, &[("a.rs", "A"), ("b.rs", "A")]).len(), 1);
        assert_eq!(
            breaches("", &[("a.rs", "A")]),
            [
                "xtask/src/lint/impls.rs:1: a.rs has no `impl A` any more: take it out of the exceptions"
            ]
        );
    }
}
