//! The running kernel: whether it is recent enough for the programs.

use nix::sys::utsname::uname;

use super::error::DataplaneError;

/// The oldest kernel that will do: major and minor version, and how people write it.
const NEEDED: ((u32, u32), &str) = ((5, 15), "5.15");

/// The oldest kernel that has frames of several buffers for XDP programs.
const SEVERAL_BUFFERS: (u32, u32) = (5, 18);

/// Refuses a kernel that is too old, before anything is loaded.
pub fn check_kernel() -> Result<(), DataplaneError> {
    match uname() {
        Ok(name) => check(&name.release().to_string_lossy()),
        // It will show when the programs are loaded.
        Err(_) => Ok(()),
    }
}

/// Whether the running kernel has frames of several buffers for XDP programs.
pub(super) fn has_several_buffers() -> bool {
    uname().is_ok_and(|name| knows_several_buffers(&name.release().to_string_lossy()))
}

fn knows_several_buffers(release: &str) -> bool {
    version(release).is_none_or(|version| version >= SEVERAL_BUFFERS)
}

/// `release` is what `uname -r` says. One that can't be read is left to its luck.
fn check(release: &str) -> Result<(), DataplaneError> {
    let ((major, minor), needed) = NEEDED;
    match version(release) {
        Some(version) if version < (major, minor) => Err(DataplaneError::OldKernel {
            found: release.to_owned(),
            needed,
        }),
        _ => Ok(()),
    }
}

/// Major and minor version.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_from_5_15_on_will_do() {
        for release in [
            "5.15.0",
            "5.15.0-91-generic",
            "5.15",
            "6.1.0-18-amd64",
            "6.18.44-fc-v657",
            "10.0-rc1",
        ] {
            assert!(check(release).is_ok(), "{release}");
        }
    }

    #[test]
    fn an_older_kernel_is_refused_with_its_release_and_the_one_that_is_needed() {
        for release in [
            "5.14.21-150500.55-default",
            "5.4.0-42-generic",
            "4.19.0",
            "2.6.78",
        ] {
            let error = check(release).expect_err(release).to_string();
            assert_eq!(
                error,
                format!("kernel {release} is too old: Balancer needs Linux 5.15 or later")
            );
        }
    }

    #[test]
    fn frames_of_several_buffers_are_known_from_5_18_on() {
        for (release, known) in [
            ("5.15.0-91-generic", false),
            ("5.17.1", false),
            ("5.18.0", true),
            ("6.1.0-18-amd64", true),
            ("custom", true),
        ] {
            assert_eq!(knows_several_buffers(release), known, "{release}");
        }
    }

    #[test]
    fn a_release_that_says_no_version_is_left_to_its_luck() {
        for release in ["", "custom", "6", "six.one"] {
            assert!(check(release).is_ok(), "{release}");
        }
    }
}
