//! `cargo xtask lint`: the rules of the house that the compiler does not know.

mod foreign;
mod impls;
mod links;
mod promises;
mod reasons;
mod rings;
mod source;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::promises::{INDEX, SPECIFICATION};
use crate::workspace;
use source::Source;

/// One breach, as a compiler would name it.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    file: PathBuf,
    /// Counted from one.
    line: usize,
    what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

/// Names every breach, then fails if there was one.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let texts = workspace::sources()?;
    let sources: Vec<Source> = texts
        .iter()
        .map(|(file, text)| Source::new(file, text))
        .collect();
    let mut breaches = Vec::new();
    for source in &sources {
        breaches.extend(rings::check(source));
        breaches.extend(foreign::check(source));
    }
    breaches.extend(impls::check(&sources));

    let pages = workspace::pages()?;
    let page = |name: &str| pages.get(Path::new(name)).map_or("", String::as_str);
    breaches.extend(promises::check(page(SPECIFICATION), page(INDEX), &texts));
    let code = texts.get(Path::new(reasons::REASONS));
    let code = code.map_or("", String::as_str);
    breaches.extend(reasons::check(code, page(reasons::TABLE)));
    breaches.extend(links::check(&pages, |path| root.join(path).exists()));

    for breach in &breaches {
        eprintln!("{breach}");
    }
    let format = workspace::cargo()
        .args(["fmt", "--all", "--check"])
        .status()
        .context("cannot start cargo fmt")?;
    if !breaches.is_empty() || !format.success() {
        bail!(
            "{} breaches, format {}",
            breaches.len(),
            if format.success() { "right" } else { "wrong" }
        );
    }
    eprintln!(
        "lint: {} source files and {} pages, no breach",
        sources.len(),
        pages.len()
    );
    Ok(())
}
