//! Relative links of Markdown files lead to files that there are, and their anchors to headings.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::Breach;

/// `pages`: the text of each Markdown file, by its path from the workspace's root; `exists`: whether there is
/// something at such a path.
pub(super) fn check(
    pages: &BTreeMap<PathBuf, String>,
    exists: impl Fn(&Path) -> bool,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (file, text) in pages {
        for (line, destination) in links(text) {
            if let Some(what) = problem(file, &destination, pages, &exists) {
                breaches.push(Breach {
                    file: file.clone(),
                    line,
                    what,
                });
            }
        }
    }
    breaches
}

fn problem(
    file: &Path,
    destination: &str,
    pages: &BTreeMap<PathBuf, String>,
    exists: impl Fn(&Path) -> bool,
) -> Option<String> {
    if destination.contains("://") || destination.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = match destination.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (destination, None),
    };
    let target = match path {
        "" => file.to_owned(),
        _ => resolve(file.parent()?, Path::new(path)),
    };
    if !exists(&target) {
        return Some(format!("`{destination}`: there is no {}", target.display()));
    }
    let page = pages.get(&target)?;
    let anchor = anchor?;
    (!anchors(page).iter().any(|other| other == anchor)).then(|| {
        let target = target.display();
        format!("`{destination}`: {target} has no heading with the anchor `{anchor}`")
    })
}

/// `path` as seen from `directory`, without `.` and `..`.
fn resolve(directory: &Path, path: &Path) -> PathBuf {
    let mut resolved = directory.to_owned();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                resolved.pop();
            }
            Component::CurDir => {}
            part => resolved.push(part),
        }
    }
    resolved
}

/// The lines outside code blocks, each without its code spans.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut in_code = false;
    (1..).zip(text.lines()).filter_map(move |(number, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        let prose = || line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        (!in_code && !is_fence).then(|| (number, prose()))
    })
}

/// The destinations of `[text](destination)`, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        for rest in line.split("](").skip(1) {
            if let Some((destination, _)) = rest.split_once(')') {
                links.push((number, destination.to_owned()));
            }
        }
    }
    links
}

/// The anchors of the headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut anchors: Vec<String> = Vec::new();
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        let heading = line.trim_start_matches('#');
        if in_code || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let anchor: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let repeated = |n: usize| match n {
            0 => anchor.clone(),
            n => format!("{anchor}-{n}"),
        };
        let free = (0..).map(repeated).find(|name| !anchors.contains(name));
        anchors.extend(free);
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(link: &str) -> Vec<String> {
        let pages = BTreeMap::from([
            (PathBuf::from("docs/a.md"), format!("# A\n\nSee {link}.\n")),
            (
                PathBuf::from("docs/b.md"),
                "# B, or `C`\n```\n# not this\n```\n## Twice\n## Twice\n".to_owned(),
            ),
        ]);
        let exists = |path: &Path| pages.contains_key(path) || path == Path::new("LICENSE");
        check(&pages, exists)
            .iter()
            .map(Breach::to_string)
            .collect()
    }

    #[test]
    fn what_a_link_leads_to_is_there() {
        for link in [
            "[b](b.md)",
            "[b](b.md#b-or-c)",
            "[b](../docs/b.md#twice-1)",
            "[a](#a)",
            "[l](../LICENSE)",
            "[far](https://example.net/x.md#y)",
            "`[no](link.md)`",
        ] {
            assert_eq!(breaches(link), [""; 0], "{link}");
        }
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        assert_eq!(
            breaches("[c](c.md)"),
            ["docs/a.md:3: `c.md`: there is no docs/c.md"]
        );
        assert_eq!(
            breaches("[b](b.md) and [b](b.md#not-this)"),
            ["docs/a.md:3: `b.md#not-this`: docs/b.md has no heading with the anchor `not-this`"]
        );
        assert_eq!(breaches("[b](#twice)").len(), 1);
        assert_eq!(breaches("[b](b.md#twice-2)").len(), 1);
    }
}
