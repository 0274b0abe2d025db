//! What may appear only in certain places: `aya`, `unsafe`, and I/O.

use std::path::Path;

use super::Breach;
use super::rings::is_pure;
use super::source::Source;

/// The code that talks to the kernel.
const DATAPLANE: &str = "balancer/edge/src/dataplane";

/// The crate with it: no other one below `balancer/` may depend on aya but what builds the programs.
const EDGE: &str = "balancer/edge/src";

/// Where `unsafe` may be: kernel programs, the dataplane, the shared crate's kernel-only loads, what
/// builds the programs, which tells aya-build its toolchain through the environment, and what tells glibc how to keep memory.
const UNSAFE: [&str; 5] = [
    DATAPLANE,
    "balancer-ebpf",
    "balancer-common",
    "balancer/programs/src/build.rs",
    "balancer/src/allocator.rs",
];

/// Words that a pure module has no business with: clocks, files, sockets, the runtime.
const IMPURE: [&str; 9] = [
    "tokio",
    "Instant",
    "SystemTime",
    "fs",
    "File",
    "TcpStream",
    "UdpSocket",
    "process",
    "nix",
];

pub(super) fn check(source: &Source) -> Vec<Breach> {
    let within = |place: &str| source.file.starts_with(Path::new(place));
    let pure = is_pure(source);
    let mut breaches = Vec::new();
    let mut breach = |line: usize, what: String| {
        breaches.push(Breach {
            file: source.file.clone(),
            line,
            what,
        });
    };
    for (line, word) in source.words() {
        if word == "unsafe" && !UNSAFE.iter().any(|place| within(place)) {
            breach(line, format!("`unsafe` outside {}", UNSAFE.join(", ")));
        }
        if is_aya(word) && within(EDGE) && !within(DATAPLANE) {
            breach(line, format!("`{word}` outside {DATAPLANE}"));
        }
        if pure && IMPURE.contains(&word) {
            breach(
                line,
                format!("`{word}` in a pure module: give the value as an argument"),
            );
        }
    }
    breaches
}

fn is_aya(word: &str) -> bool {
    word == "aya" || word.starts_with("aya_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(file: &str, text: &str) -> Vec<String> {
        check(&Source::new(Path::new(file), text))
            .iter()
            .map(Breach::to_string)
            .collect()
    }

    #[test]
    fn unsafe_is_for_the_kernel_and_the_dataplane() {
        let text = "fn f() {\n    unsafe { g() }\n}\n";
        for allowed in [
            "balancer-ebpf/src/main.rs",
            "balancer/edge/src/dataplane/sys.rs",
        ] {
            assert_eq!(breaches(allowed, text), [""; 0]);
        }
        for refused in [
            "balancer/host/src/store/mod.rs",
            "xtask/src/main.rs",
            "tests/src/world.rs",
        ] {
            assert!(breaches(refused, text)[0].starts_with(&format!("{refused}:2: `unsafe`")));
        }
    }

    #[test]
    fn only_the_dataplane_knows_aya() {
        let text = "use aya::Ebpf;\nuse aya_log::EbpfLogger;\n";
        assert_eq!(
            breaches("balancer/edge/src/dataplane/mod.rs", text),
            [""; 0]
        );
        assert_eq!(
            breaches("balancer/edge/src/daemon/edge/mod.rs", text).len(),
            2
        );
    }

    #[test]
    fn a_pure_module_has_no_clock_and_no_runtime() {
        let text = "use std::time::Instant;\nasync fn f() { tokio::task::yield_now().await }\n";
        for pure in [
            "balancer/core/src/table/mod.rs",
            "balancer/site/src/autoscale/mod.rs",
        ] {
            assert_eq!(breaches(pure, text).len(), 2);
        }
        assert_eq!(breaches("balancer/host/src/health/mod.rs", text), [""; 0]);
    }
}
