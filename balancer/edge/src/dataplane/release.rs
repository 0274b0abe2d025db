//! The running kernel: whether it is recent enough for the programs.

use nix::sys::utsname::uname;

use super::error::DataplaneError;

/// The oldest kernel that will do: major and minor version, and how people write it.
const NEEDED: ((u32, u32), &str) = ((6, 1), "6.1");

/// Refuses a kernel that is too old, before anything is loaded.
pub fn check_kernel() -> Result<(), DataplaneError> {
    match uname() {
        Ok(name) => check(&name.release().to_string_lossy()),
        // It will show when the programs are loaded.
        Err(_) => Ok(()),
    }
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
    fn kernels_from_6_1_on_will_do() {
        for release in [
            "6.1.0",
            "6.1.0-18-amd64",
            "6.1",
            "6.18.44-fc-v657",
            "7.0.1",
            "10.0-rc1",
        ] {
            assert!(check(release).is_ok(), "{release}");
        }
    }

    #[test]
    fn an_older_kernel_is_refused_with_its_release_and_the_one_that_is_needed() {
        for release in [
            "6.0.19",
            "5.19.0-50-generic",
            "5.15.0-91-generic",
            "5.14.21-150500.55-default",
            "5.4.0-42-generic",
            "4.19.0",
            "2.6.78",
        ] {
            let error = check(release).expect_err(release).to_string();
            assert_eq!(
                error,
                format!("kernel {release} is too old: Balancer needs Linux 6.1 or later")
            );
        }
    }

    #[test]
    fn a_release_that_says_no_version_is_left_to_its_luck() {
        for release in ["", "custom", "6", "six.one"] {
            assert!(check(release).is_ok(), "{release}");
        }
    }
}
