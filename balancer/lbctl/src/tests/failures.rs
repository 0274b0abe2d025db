//! What goes wrong, and the exit code for it.

use std::{
    fs,
    io::{self, Write},
};

use balancer_api::testing::{
    daemon::{Daemon, Manner},
    samples::{add, busy, web},
};

use super::{Operated, run};

// Promise: O1
#[test]
fn every_kind_of_error_has_its_exit_code() {
    let daemon = Daemon::with(vec![add(web(&["10.1.0.10"]))]);
    for (line, code, sentence) in [
        (
            "apply -f /nowhere.toml",
            1,
            "cannot read /nowhere.toml: No such file",
        ),
        ("backends list mail", 4, "no service `mail`"),
        ("backends drain web 10.1.0.99", 4, "10.1.0.99"),
        ("services add web --vip 198.51.100.11 --port 1", 5, "`web`"),
        ("backends add web 10.1.0.10", 5, "10.1.0.10"),
        ("backends drain web 10.1.0.10", 6, "--force"),
        ("backends weight web 10.1.0.10 0", 6, "--force"),
        ("services remove web", 6, "--force"),
    ] {
        let ran = daemon.lbctl(line);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{line}: {ran:?}");
        assert!(
            ran.err.starts_with("lbctl: ") && ran.err.contains(sentence),
            "{line}: {ran:?}"
        );
        assert_eq!(ran.err.lines().count(), 1, "{line}: {ran:?}");
    }
}

#[test]
fn a_daemon_that_is_not_there_is_told_with_what_to_do() {
    let ran = run("--socket /nowhere/lbd.sock status");
    assert_eq!(ran.code, 3);
    assert_eq!(
        ran.err,
        "lbctl: lbd does not answer on /nowhere/lbd.sock: No such file or directory (os error 2); \
         is it running? (systemctl status lbd)\n"
    );
    assert_eq!(Daemon::start(Manner::Stops).lbctl("status").code, 3);
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_usage_error() {
    for line in [
        "",
        "stats",
        "backends add web",
        "backends add web 10.1.0",
        "backends add we_b 10.1.0.10",
        "backends add web 10.1.0.10 --weight 1001",
        "backends weight web 10.1.0.10 -1",
        "services add web --vip 198.51.100.10",
        "services add web --vip 198.51.100.10 --port 0",
        "services add web --vip 198.51.100.10 --port 1 --check-path /",
        "services add web --vip 198.51.100.10 --port 1 --encapsulation gre",
        "services add web --vip 198.51.100.10 --port 1 --hash port",
        "-o yaml status",
        "completions tcsh",
    ] {
        let ran = run(line);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line}: {ran:?}");
        assert!(
            ran.err.contains("Usage") || ran.err.contains("--help"),
            "{line}: {ran:?}"
        );
    }
}

// Promise: C9
#[test]
fn a_file_that_is_wrong_changes_nothing() {
    let daemon = Daemon::with(vec![add(web(&["10.1.0.10"]))]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("services.toml");
    fs::write(
        &file,
        "version = 1\n[[service]]\nname = \"web\"\nvipp = \"198.51.100.10\"\n",
    )
    .unwrap();
    let ran = daemon.lbctl(&format!("apply -f {}", file.display()));
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains(&format!("{}:4: ", file.display())) && ran.err.contains("vipp"),
        "{ran:?}"
    );
    assert!(daemon.prints("status").contains("generation  1\n"));
}

/// Takes nothing.
struct Closed(io::ErrorKind);

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_has_enough_is_no_error_but_a_full_disk_is() {
    let daemon = Daemon::start(Manner::Shows(busy()));
    let line = [
        "lbctl".into(),
        "status".into(),
        "--socket".into(),
        daemon.socket.clone().into_os_string(),
    ];
    for (kind, code, told) in [
        (io::ErrorKind::BrokenPipe, 0, ""),
        (
            io::ErrorKind::StorageFull,
            1,
            "lbctl: cannot print: no storage space\n",
        ),
    ] {
        let mut err = Vec::new();
        assert_eq!(crate::run(line.clone(), &mut Closed(kind), &mut err), code);
        assert_eq!(String::from_utf8(err).unwrap(), told);
    }
}
