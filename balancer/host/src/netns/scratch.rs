//! A network namespace for one test: nameless, so it goes with its last descriptor, also after a panic.

use std::{
    fs::File,
    net::IpAddr,
    os::fd::{AsRawFd, RawFd},
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
};

use nix::sched::{CloneFlags, unshare};

use super::on_netns;

/// An empty network namespace of its own.
pub struct ScratchNetns {
    file: File,
    path: PathBuf,
}

impl ScratchNetns {
    /// Needs root, and fails loudly without.
    #[expect(
        clippy::new_without_default,
        reason = "making a namespace is nothing to do by default"
    )]
    pub fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .expect("this test makes network namespaces: run it as root");
            File::open("/proc/thread-self/ns/net").expect("open the new namespace")
        });
        let file = made.join().expect("make a namespace");
        let path = PathBuf::from(format!("/proc/{}/fd/{}", process::id(), file.as_raw_fd()));
        let netns = Self { file, path };
        netns.ip("link set lo up");
        netns
    }

    /// Leads to it as long as this lives.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` inside.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        on_netns(&self.path, work).expect("enter a scratch namespace")
    }

    /// Runs `ip ARGUMENTS` inside and returns what it prints.
    pub fn ip(&self, arguments: &str) -> String {
        self.call("ip", arguments)
    }

    /// Runs `PROGRAM ARGUMENTS` inside and returns what it prints.
    pub fn call(&self, program: &str, arguments: &str) -> String {
        let output = self
            .run(|| {
                Command::new(program)
                    .args(arguments.split_whitespace())
                    .output()
            })
            .unwrap_or_else(|error| panic!("run `{program}`: {error}; `cargo xtask setup`"));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments}: {error}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Writes a setting below `/proc/sys/net` of this namespace.
    pub fn sysctl(&self, key: &str, value: &str) {
        let path = format!("/proc/sys/net/{key}");
        self.run(|| std::fs::write(&path, value))
            .unwrap_or_else(|error| panic!("write {path}: {error}"));
    }

    /// A veth pair between here and `other`, both ends up. Addresses like `10.0.0.1/24`; none, one or more.
    pub fn veth(
        &self,
        name: &str,
        addresses: &[&str],
        other: &Self,
        other_name: &str,
        other_addresses: &[&str],
    ) {
        let peer = other.path.display();
        self.ip(&format!(
            "link add {name} type veth peer name {other_name} netns {peer}"
        ));
        for (netns, name, addresses) in [
            (self, name, addresses),
            (other, other_name, other_addresses),
        ] {
            for address in addresses {
                let ip: IpAddr = address
                    .split('/')
                    .next()
                    .expect("an address")
                    .parse()
                    .expect("an address");
                let quick = if ip.is_ipv6() { " nodad" } else { "" };
                netns.ip(&format!("addr add {address} dev {name}{quick}"));
            }
            netns.ip(&format!("link set {name} up"));
        }
    }
}

impl AsRawFd for ScratchNetns {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
