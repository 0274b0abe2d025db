//! What an HTTP server answers.

use serde::{Deserialize, Serialize};

use super::{Broken, CheckSpec, KindOfCheck};

/// A `GET` whose answer has a status from 200 to 399.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Http {
    /// The request's path, beginning with `/`.
    pub path: String,
}

impl Http {
    /// The path of a check that names none.
    pub const PATH: &str = "/";
    /// What a path has to be.
    pub const EXPECTED: &str = "a path that begins with `/`, without spaces or control characters";
}

impl Default for Http {
    fn default() -> Self {
        Self {
            path: Self::PATH.to_owned(),
        }
    }
}

impl KindOfCheck for Http {
    fn take(spec: &mut CheckSpec) -> Self {
        let path = spec.path.take();
        path.map_or_else(Self::default, |path| Self { path })
    }

    fn put(&self, spec: &mut CheckSpec) {
        spec.path = Some(self.path.clone());
    }

    fn check_bounds(&self) -> Result<(), Broken> {
        let path = &self.path;
        match path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(()),
            false => Err(Broken::key(
                "check.path",
                format!("{path:?}"),
                Self::EXPECTED,
            )),
        }
    }

    fn path(&self) -> &str {
        &self.path
    }
}
