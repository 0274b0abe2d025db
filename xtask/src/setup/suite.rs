//! A release of Debian other than the machine's own, asked through an apt state of our own: `/etc/apt` is read, never
//! written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::packages;
use crate::narrate;

/// Where Debian is on a machine that doesn't say.
const PUBLIC: &str = "http://deb.debian.org/debian";

/// What its lists are signed with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One suite's package lists; they go with this.
pub(super) struct Suite {
    state: PathBuf,
}

impl Suite {
    /// Asks for the lists of the suite `name`, and keeps them in `state`.
    pub(super) fn open(name: &str, state: &Path) -> Result<Suite> {
        if !packages::is_command("apt-get") {
            bail!("this machine has no apt-get, which fetches kernels from Debian");
        }
        if !Path::new(KEYRING).is_file() {
            packages::install(&["debian-archive-keyring"])?;
        }
        fs::create_dir_all(state.join("lists/partial"))
            .with_context(|| format!("cannot make {}", state.display()))?;
        let suite = Suite {
            state: state.to_path_buf(),
        };
        let source = format!(
            "Types: deb\nURIs: {}\nSuites: {name}\nComponents: main\nArchitectures: amd64\nSigned-By: {KEYRING}\n",
            site()
        );
        fs::write(suite.sources(), source)?;
        let mut update = suite.apt("apt-get");
        narrate::step(
            &format!("apt-get update for {name}"),
            update.args(["--error-on=any", "update"]),
        )?;
        Ok(suite)
    }

    /// What a package depends on first: the kernel, if it is the name of the newest one.
    pub(super) fn newest(&self, name: &str) -> Result<String> {
        let said = self.apt("apt-cache").args(["depends", name]).output()?;
        first_dependency(&String::from_utf8_lossy(&said.stdout))
            .with_context(|| format!("apt knows no dependency of {name}"))
    }

    /// Downloads a package into a directory; apt compares it with the signed lists.
    pub(super) fn download(&self, name: &str, into: &Path) -> Result<()> {
        let mut get = self.apt("apt-get");
        get.args(["download", name]).current_dir(into);
        narrate::step(&format!("apt-get download {name}"), &mut get)
    }

    fn sources(&self) -> PathBuf {
        self.state.join("debian.sources")
    }

    fn apt(&self, program: &str) -> Command {
        let mut apt = Command::new(program);
        let state = self.state.display();
        for option in [
            format!("Dir::Etc::sourcelist={}", self.sources().display()),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={state}/lists"),
            format!("Dir::Cache={state}"),
            "Acquire::Languages=none".to_owned(),
        ] {
            apt.args(["-o", &option]);
        }
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        // Made anew at the next download; what stays costs 20 MB and nothing else.
        let _ = fs::remove_dir_all(&self.state);
    }
}

/// The mirror that this machine's own apt asks for Debian, else the public one.
fn site() -> String {
    let format = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(SITE)";
    let asked = Command::new("apt-get")
        .args(["indextargets", "--format", format, "Created-By: Packages"])
        .output();
    let targets = asked.map_or_else(|_| Vec::new(), |out| out.stdout);
    String::from_utf8_lossy(&targets)
        .lines()
        .find_map(|target| target.strip_prefix("Debian|Debian|main|"))
        .unwrap_or(PUBLIC)
        .to_owned()
}

fn first_dependency(said: &str) -> Option<String> {
    said.lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_what_its_name_depends_on() {
        let said = "linux-image-amd64\n  Depends: linux-image-6.12.117+deb13-amd64\n";
        let newest = first_dependency(said);
        assert_eq!(newest.as_deref(), Some("linux-image-6.12.117+deb13-amd64"));
        assert_eq!(first_dependency("linux-image-amd64\n"), None);
    }
}
