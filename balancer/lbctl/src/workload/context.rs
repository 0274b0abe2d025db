//! What an image is built from: a directory as a tar, as engines take it.

use std::{fs, io, path::Path};

use ignore::{
    WalkBuilder,
    gitignore::{Gitignore, GitignoreBuilder},
};
use tar::Builder;

use crate::failure::Failure;

/// What describes the deployment, and may hold secrets, is no part of an image.
const DEPLOYMENT: &str = "/balancer.state.json*\n/.balancer.state.lock\n*.tf\n*.tfvars\n/.git\n";

const IGNORE_FILE: &str = ".dockerignore";

/// The engine reads these in any case.
const NEEDED: [&str; 2] = ["Dockerfile", IGNORE_FILE];

/// A tar of a directory without what describes the deployment, and without what its `.dockerignore` leaves out.
pub(super) fn tar_of(directory: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |why: String| {
        let directory = directory.display();
        Failure::Workload(format!("{directory} was not packed for its image: {why}"))
    };
    let filter = Filter::of(directory).map_err(failed)?;
    pack(directory, filter).map_err(|error| failed(error.to_string()))
}

fn pack(directory: &Path, filter: Filter) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    tar.follow_symlinks(false);
    tar.sparse(false);
    let root = directory.to_owned();
    let entries = WalkBuilder::new(directory)
        .standard_filters(false)
        .sort_by_file_name(Ord::cmp)
        .filter_entry(move |entry| {
            let path = entry.path().strip_prefix(&root).unwrap_or(entry.path());
            let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
            filter.lets_in(path, is_directory)
        })
        .build();
    for entry in entries {
        let entry = entry.map_err(io::Error::other)?;
        let path = entry
            .path()
            .strip_prefix(directory)
            .map_err(io::Error::other)?;
        // The directory itself is none of its files.
        if !path.as_os_str().is_empty() {
            tar.append_path_with_name(entry.path(), path)?;
        }
    }
    tar.into_inner()
}

/// What of a directory goes into the tar.
struct Filter {
    deployment: Gitignore,
    ignored: Gitignore,
}

impl Filter {
    fn of(directory: &Path) -> Result<Filter, String> {
        let mut deployment = GitignoreBuilder::new("");
        for line in DEPLOYMENT.lines() {
            deployment
                .add_line(None, line)
                .map_err(|error| error.to_string())?;
        }
        let text = match fs::read_to_string(directory.join(IGNORE_FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("cannot read {IGNORE_FILE}: {error}")),
        };
        let mut ignored = GitignoreBuilder::new("");
        for (number, line) in (1..).zip(text.lines()) {
            for pattern in patterns(line) {
                ignored
                    .add_line(None, &pattern)
                    .map_err(|error| format!("{IGNORE_FILE}, line {number}: {error}"))?;
            }
        }
        let built = |builder: GitignoreBuilder| builder.build().map_err(|error| error.to_string());
        Ok(Filter {
            deployment: built(deployment)?,
            ignored: built(ignored)?,
        })
    }

    /// Whether a path from the directory on goes into the tar, or may have something below it that does.
    fn lets_in(&self, path: &Path, is_directory: bool) -> bool {
        if self.deployment.matched(path, is_directory).is_ignore() {
            return false;
        }
        let may_have_exceptions = is_directory && self.ignored.num_whitelists() > 0;
        may_have_exceptions
            || NEEDED.iter().any(|needed| path == Path::new(needed))
            || !self.ignored.matched(path, is_directory).is_ignore()
    }
}

/// A line of a `.dockerignore` in Git's language: there a pattern counts from the root on, and for all that is below what it
/// matches, and the last one that matches decides.
fn patterns(line: &str) -> Vec<String> {
    let line = line.trim();
    if line.starts_with('#') {
        return Vec::new();
    }
    let (mark, pattern) = match line.strip_prefix('!') {
        Some(pattern) => ("!", pattern.trim_start()),
        None => ("", line),
    };
    let pattern = pattern.trim_start_matches("./").trim_matches('/');
    if pattern.is_empty() || pattern == "." {
        return Vec::new();
    }
    ["", "/**"]
        .map(|below| format!("{mark}/{pattern}{below}"))
        .into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// A directory with empty files at these paths, and this `.dockerignore`.
    fn directory(files: &[&str], ignore: &str) -> TempDir {
        let place = tempfile::tempdir().unwrap();
        for file in files {
            let path = place.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        if !ignore.is_empty() {
            fs::write(place.path().join(IGNORE_FILE), ignore).unwrap();
        }
        place
    }

    /// The files of its tar.
    fn packed(place: &TempDir) -> Vec<String> {
        let tar = tar_of(place.path()).unwrap();
        let mut tar = tar::Archive::new(&tar[..]);
        let entries = tar.entries().unwrap().map(Result::unwrap);
        let files = entries.filter(|entry| !entry.header().entry_type().is_dir());
        files
            .map(|entry| entry.path().unwrap().display().to_string())
            .collect()
    }

    #[test]
    fn a_context_has_the_directorys_files_and_nothing_of_the_deployment() {
        let place = directory(
            &[
                "Dockerfile",
                "main.tf",
                "secret.auto.tfvars",
                "modules/net/main.tf",
                ".git/config",
                "balancer.state.json",
                "balancer.state.json.backup",
                ".balancer.state.lock",
                "src/.hidden",
                "src/balancer.state.json",
            ],
            "",
        );
        symlink(".hidden", place.path().join("src/link")).unwrap();
        assert_eq!(
            packed(&place),
            [
                "Dockerfile",
                "src/.hidden",
                "src/balancer.state.json",
                "src/link"
            ]
        );
    }

    #[test]
    fn what_a_dockerignore_leaves_out_is_left_out() {
        let ignore = "# built things\ntarget\n\n/docs/\n**/*.log\n*/temp?\n!docs/README.md\n";
        let place = directory(
            &[
                "Dockerfile",
                "a.log",
                "docs/README.md",
                "docs/guide/README.md",
                "src/deep/b.log",
                "src/target/kept",
                "src/temp1",
                "target/debug/binary",
                "temp1",
            ],
            ignore,
        );
        assert_eq!(
            packed(&place),
            [
                ".dockerignore",
                "Dockerfile",
                "docs/README.md",
                "src/target/kept",
                "temp1"
            ]
        );
    }

    #[test]
    fn the_last_pattern_that_matches_decides_and_what_the_engine_needs_is_there() {
        let place = directory(
            &["Dockerfile", "docs/README.md", "main.tf", "src/main.rs"],
            "!docs/README.md\n*\n!src\n!main.tf\n",
        );
        assert_eq!(
            packed(&place),
            [".dockerignore", "Dockerfile", "src/main.rs"]
        );
    }

    #[test]
    fn a_pattern_that_is_none_is_told_with_its_line() {
        let place = directory(&["Dockerfile"], "target\nsrc/[z-a]\n");
        let error = tar_of(place.path()).map(drop).unwrap_err().to_string();
        assert!(error.contains(".dockerignore, line 2: "), "{error}");
    }
}
