//! The operator's tool: noun, then verb. Talks to one `lbd` through [`balancer_api::client`].

mod apply;
mod backends;
mod change_summary;
mod cli;
mod detach;
mod edge;
mod failure;
mod generate;
mod services;
mod status;
mod table;
mod workload;

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    io::{self, Write},
};

use balancer_api::{
    client::{ChangeOptions, Client},
    replies::ChangeReply,
    token::Token,
};
use clap::Parser;
use serde::Serialize;

use self::{
    change_summary::ChangeSummary,
    cli::{Cli, Format, Noun},
    failure::Failure,
};

/// Runs `lbctl` with these arguments, the program's name first; returns its exit code.
///
/// 0 ok, 1 error, 2 usage, 3 daemon unreachable, 4 not found, 5 conflict, 6 refused by a safety
/// rule, 7 partly done, 8 timed out waiting.
pub fn run<I, T>(arguments: I, out: &mut dyn Write, err: &mut dyn Write) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let arguments = arguments.into_iter().map(|each| cli::spelled(each.into()));
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let text = error.render();
            // Whoever asked for help and closed the pipe has what they wanted.
            return if error.use_stderr() {
                let _ = write!(err, "{text}");
                2
            } else {
                let _ = write!(out, "{text}");
                0
            };
        }
    };
    match cli
        .run(out)
        .and_then(|()| out.flush().map_err(Failure::from))
    {
        Ok(()) => 0,
        Err(failure) => {
            if !failure.is_quiet() {
                // When the last resort fails, the exit code remains.
                let _ = writeln!(err, "lbctl: {failure}");
            }
            failure.exit_code()
        }
    }
}

impl Cli {
    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let noun = match self.noun {
            Noun::Completions(completions) => return completions.run(out),
            Noun::Man(man) => return man.run(out),
            noun => noun,
        };
        let token = match self.token_file {
            Some(path) => Some(Token::read(&path).map_err(Failure::Token)?.0),
            None => None,
        };
        let mut context = Context {
            client: Client::new(self.socket).with_token(token),
            format: self.output,
            dry_run: self.dry_run,
            out,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            match noun {
                Noun::Status(status) => status.run(&mut context).await,
                Noun::Services(services) => services.run(&mut context).await,
                Noun::Backends(backends) => backends.run(&mut context).await,
                Noun::Apply(apply) => apply.run(&mut context).await,
                Noun::Edge(edge) => edge.run(&mut context).await,
                Noun::Detach(detach) => detach.run(&mut context).await,
                Noun::Workload(workload) => workload.run(&mut context).await,
                Noun::Completions(_) | Noun::Man(_) => Ok(()),
            }
        })
    }
}

/// What every command works with.
struct Context<'a> {
    client: Client,
    format: Format,
    dry_run: bool,
    out: &'a mut dyn Write,
}

impl Context<'_> {
    /// How a change is made that can neither be forced nor hurried.
    fn change_options(&self) -> ChangeOptions {
        ChangeOptions {
            dry_run: self.dry_run,
            ..ChangeOptions::default()
        }
    }

    /// Shows a reply: as JSON, or as `text` makes it.
    fn show<T: Serialize>(
        &mut self,
        reply: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.out.write_all(text(reply).as_bytes())?,
            Format::Json => {
                let json = serde_json::to_string_pretty(reply).map_err(io::Error::from)?;
                writeln!(self.out, "{json}")?;
            }
        }
        Ok(())
    }

    /// Shows what a change did.
    fn tell(&mut self, reply: &ChangeReply, summary: &ChangeSummary) -> Result<(), Failure> {
        self.show(reply, |reply| summary.lines(reply))
    }
}
