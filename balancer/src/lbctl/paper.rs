//! `lbctl completions` and `lbctl man`: what goes beside the binary.

use std::{io::Write, path::PathBuf};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{cli::Cli, failure::Failure};

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl completions bash > /usr/share/bash-completion/completions/lbctl
  source <(lbctl completions zsh)")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        // In memory first: the generator panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "lbctl", &mut script);
        Ok(out.write_all(&script)?)
    }
}

/// Write the manual pages into a directory, or print that of lbctl itself
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl man /usr/local/share/man/man1
  lbctl man | man -l -")]
pub(super) struct Man {
    /// An existing directory: gets lbctl.1, lbctl-services-add.1 and so on
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let Some(path) = self.directory else {
            return Ok(clap_mangen::Man::new(Cli::command()).render(&mut &mut *out)?);
        };
        clap_mangen::generate_to(Cli::command(), &path)
            .map_err(|source| Failure::Unwritable { path, source })
    }
}
