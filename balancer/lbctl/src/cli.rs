//! The command line as a whole.

use std::{ffi::OsString, net::IpAddr, path::PathBuf, str::FromStr};

use balancer_api::DEFAULT_SOCKET;
use balancer_core::model::{ENDPOINT_FORMS, Endpoint};
use clap::{
    Parser, Subcommand, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use strum::{EnumMessage, VariantArray, VariantNames};

use super::{
    apply::Apply,
    backends::Backends,
    detach::Detach,
    edge::Edge,
    generate::{Completions, Man},
    services::Services,
    status::Status,
    workload::Workload,
};

/// The heading of the options that every command has.
const EVERYWHERE: &str = "Options of every command";

/// Operate this edge's load balancer: services, their backends, and how it is doing.
#[derive(Debug, Parser)]
#[command(
    name = "lbctl",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  lbctl status
  lbctl services add web --vip 198.51.100.10 --port 8000 --check http
  lbctl backends add web 10.1.0.10
  lbctl --dry-run backends remove web 10.1.0.10

Exit codes:
  0 ok, 1 error, 2 usage, 3 daemon unreachable, 4 not found, 5 conflict,
  6 refused by a safety rule, 7 partly done, 8 timed out waiting"
)]
pub(super) struct Cli {
    /// Where lbd listens: a unix socket's path, unix:/path or http://host:port
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "LBCTL_SOCKET", value_name = "WHERE", default_value = DEFAULT_SOCKET, value_parser = endpoint)]
    pub(super) socket: Endpoint,

    /// The file with the token that lbd asks for over TCP
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "LBCTL_TOKEN_FILE", value_name = "PATH")]
    pub(super) token_file: Option<PathBuf>,

    /// How to print what comes back
    #[arg(short, long, global = true, help_heading = EVERYWHERE, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub(super) output: Format,

    /// Change nothing; say what share of the slots would move, and the minimum possible
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(super) dry_run: bool,

    #[command(subcommand)]
    pub(super) noun: Noun,
}

/// How replies are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    // Ordinary comments keep the help short: aligned columns and sentences, for people.
    Table,
    // The daemon's reply, for programs.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Noun {
    Status(Status),
    Services(Services),
    Backends(Backends),
    Apply(Apply),
    Edge(Edge),
    Detach(Detach),
    Workload(Workload),
    Completions(Completions),
    Man(Man),
}

/// An argument as we spell it: Terraform writes `-var` and `-var-file` with one dash.
pub(super) fn spelled(argument: OsString) -> OsString {
    let text = argument.to_str().unwrap_or_default();
    let option = text.split('=').next().unwrap_or_default();
    match ["-var", "-var-file"].contains(&option) {
        true => format!("-{text}").into(),
        false => argument,
    }
}

/// Reads where lbd listens; a socket's path may stand alone.
fn endpoint(text: &str) -> Result<Endpoint, String> {
    match text.contains("://") || text.starts_with("unix:") {
        true => Endpoint::try_from(text.to_owned()),
        false if text.is_empty() => Err(format!("it is empty: write a path, {ENDPOINT_FORMS}")),
        false => Ok(Endpoint::Unix(text.into())),
    }
}

/// Reads an address; IPv6 may stand in brackets.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse()
        .map_err(|_| "write an address like 10.1.0.10 or 2001:db8::10".to_owned())
}

/// Reads a word of the model, which says in a line what each means.
pub(super) fn words<T>() -> impl TypedValueParser<Value = T>
where
    T: VariantArray + VariantNames + EnumMessage + FromStr + Clone + Send + Sync,
{
    let (words, meanings) = (<T as VariantNames>::VARIANTS, <T as VariantArray>::VARIANTS);
    let words = words.iter().zip(meanings).map(|(word, meaning)| {
        let meaning = meaning.get_documentation().unwrap_or_default();
        PossibleValue::new(word).help(meaning.trim_end_matches('.'))
    });
    PossibleValuesParser::new(words)
        .try_map(|word| word.parse::<T>().map_err(|_| format!("{word:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terraforms_spelling_of_variables_is_understood() {
        let ours = |text: &str| spelled(text.into()).into_string().unwrap();
        assert_eq!(ours("-var"), "--var");
        assert_eq!(ours("-var=image=web:2"), "--var=image=web:2");
        assert_eq!(ours("-var-file=a.tfvars"), "--var-file=a.tfvars");
        for same in ["--var", "-v", "-vars", "image=-var", "-f"] {
            assert_eq!(ours(same), same);
        }
    }

    #[test]
    fn lbd_is_asked_on_a_socket_by_its_path_or_over_tcp() {
        let unix = Endpoint::Unix("/run/lbd.sock".into());
        assert_eq!(endpoint("unix:/run/lbd.sock"), Ok(unix.clone()));
        assert_eq!(endpoint("/run/lbd.sock"), Ok(unix));
        assert_eq!(endpoint("lbd.sock"), Ok(Endpoint::Unix("lbd.sock".into())));
        let tcp = endpoint("http://[fd00::2]:9108").unwrap();
        assert_eq!(tcp.to_string(), "http://[fd00::2]:9108");
        for text in ["", "unix:", "https://edge:80", "http://edge:80/v1"] {
            let error = endpoint(text).unwrap_err();
            assert!(error.ends_with(ENDPOINT_FORMS), "{error}");
        }
    }
}
