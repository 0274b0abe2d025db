//! The secret that a caller over TCP shows.

use std::{fmt, fs, io, os::unix::fs::PermissionsExt, path::Path};

use subtle::ConstantTimeEq;
use tracing::warn;

/// A bearer token. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Reads a token: the file's text without white space around it. Also gives a warning when others may read it.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or has no visible ASCII characters, or others between them.
    pub fn read(path: &Path) -> io::Result<(Self, Option<String>)> {
        let shown = path.display();
        let at = |error: io::Error| {
            let message = format!("cannot read the token file {shown}: {error}");
            io::Error::new(error.kind(), message)
        };
        let text = fs::read_to_string(path).map_err(at)?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!(
                "the token file {shown} holds no token: write one line of visible characters, \
                 such as `openssl rand -hex 32` gives"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mode = fs::metadata(path).map_err(at)?.permissions().mode();
        let warning = (mode & 0o077 != 0).then(|| {
            format!("others than its owner may read or write {shown}: `chmod 600 {shown}`")
        });
        Ok((Self(token.to_owned()), warning))
    }

    /// Whether a header `Authorization` shows this token. Takes as long for a wrong one of its length as for the right.
    pub fn is_shown_by(&self, authorization: Option<&[u8]>) -> bool {
        const SCHEME: usize = "Bearer ".len();
        let Some((scheme, shown)) = authorization.and_then(|value| value.split_at_checked(SCHEME))
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(shown.ct_eq(self.0.as_bytes()))
    }

    /// The header `Authorization` that shows it.
    pub fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The token in a file, if there is to be one.
pub fn configured(file: Option<&Path>) -> io::Result<Option<Token>> {
    let Some(file) = file else { return Ok(None) };
    let (token, warning) = Token::read(file)?;
    if let Some(warning) = warning {
        warn!("{warning}");
    }
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: V3
    #[test]
    fn only_the_same_token_is_let_in() {
        let token = Token("secret".into());
        assert!(token.is_shown_by(Some(b"Bearer secret")));
        assert!(token.is_shown_by(Some(b"bearer secret")));
        for wrong in [
            "",
            "secret",
            "Bearer",
            "Bearer ",
            "Bearer secre",
            "Bearer secret2",
            "Basic  secret",
        ] {
            assert!(!token.is_shown_by(Some(wrong.as_bytes())), "{wrong:?}");
        }
        assert!(!token.is_shown_by(None));
    }

    #[test]
    fn a_token_file_that_others_may_read_is_warned_of_and_an_empty_one_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Token::read(file.path()).unwrap_err().to_string();
        assert!(error.contains("holds no token"), "{error}");
        fs::write(file.path(), "secret\n").unwrap();
        let (token, warning) = Token::read(file.path()).unwrap();
        assert_eq!((token.header().as_str(), warning), ("Bearer secret", None));
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let (_, warning) = Token::read(file.path()).unwrap();
        assert!(warning.is_some_and(|warning| warning.contains("chmod 600")));
    }
}
