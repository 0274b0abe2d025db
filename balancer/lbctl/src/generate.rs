//! `lbctl completions` and `lbctl man`: what goes beside the binary.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, Command, CommandFactory};
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
        let mut lbctl = Cli::command().disable_help_subcommand(true);
        lbctl.build();
        let Some(path) = self.directory else {
            return Ok(out.write_all(page(lbctl)?.text.as_bytes())?);
        };
        pages(lbctl)?
            .into_iter()
            .try_for_each(|page| fs::write(path.join(&page.file), page.text))
            .map_err(|source| Failure::Unwritable { path, source })
    }
}

/// One manual page.
struct Page {
    file: String,
    text: String,
}

/// The pages of a command and of everything below it.
fn pages(command: Command) -> io::Result<Vec<Page>> {
    let mut all = Vec::new();
    for below in command.get_subcommands() {
        all.extend(pages(below.clone())?);
    }
    all.push(page(command)?);
    Ok(all)
}

fn page(command: Command) -> io::Result<Page> {
    let man = clap_mangen::Man::new(command)
        .source(concat!("Balancer ", env!("CARGO_PKG_VERSION")))
        .manual("Balancer");
    let mut text = Vec::new();
    man.render(&mut text)?;
    // What follows the options is always examples; the generator cannot know.
    let text = String::from_utf8_lossy(&text).replace(".SH EXTRA\n", ".SH EXAMPLES\n");
    Ok(Page {
        file: man.get_filename(),
        text,
    })
}
