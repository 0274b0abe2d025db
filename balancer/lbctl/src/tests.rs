//! Commands as people type them, against a daemon without a data plane.

mod commands;
mod failures;
mod generate;
mod interfaces;
mod words;

use std::ffi::OsString;

use balancer_api::testing::daemon::Daemon;

/// What a command left behind.
#[derive(Debug)]
struct Ran {
    code: u8,
    out: String,
    err: String,
}

/// Runs a command line, split at spaces.
fn run(line: &str) -> Ran {
    run_words(line.split_whitespace().map(OsString::from).collect())
}

fn run_words(words: Vec<OsString>) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let words = [OsString::from("lbctl")].into_iter().chain(words);
    let code = super::run(words, &mut out, &mut err);
    Ran {
        code,
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

/// A daemon that commands are typed against.
trait Operated {
    /// Runs a command line against this daemon.
    fn lbctl(&self, line: &str) -> Ran;

    /// What a command that works prints.
    fn prints(&self, line: &str) -> String;
}

impl Operated for Daemon {
    fn lbctl(&self, line: &str) -> Ran {
        run(&format!("--socket {} {line}", self.socket.display()))
    }

    #[track_caller]
    fn prints(&self, line: &str) -> String {
        let ran = self.lbctl(line);
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (0, ""),
            "lbctl {line}: {ran:?}"
        );
        ran.out
    }
}
