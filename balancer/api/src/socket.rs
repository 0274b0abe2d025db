//! Taking the unix socket's place.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::Path,
};

use tokio::net::{UnixListener, UnixSocket};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Listens on `path` with mode 0660, in the place of a socket that nobody listens on any more.
///
/// # Errors
///
/// Refuses a path where a daemon still answers, or that is no socket; the message says what to do.
///
/// # Panics
///
/// Outside of a tokio runtime.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    clear(path)?;
    let at = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("cannot listen on {}: {error}", path.display()),
        )
    };
    let socket = UnixSocket::new_stream().map_err(at)?;
    socket.bind(path).map_err(at)?;
    // Before it listens nobody can connect, so there is no moment with other rights.
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(at)?;
    socket.listen(BACKLOG).map_err(at)
}

fn clear(path: &Path) -> io::Result<()> {
    let shown = path.display();
    let refuse = |kind, message| Err(io::Error::new(kind, message));
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return refuse(error.kind(), format!("cannot look at {shown}: {error}")),
        Ok(found) if !found.file_type().is_socket() => {
            return refuse(
                io::ErrorKind::AlreadyExists,
                format!(
                    "{shown} exists and is no socket: move it away or set `api_socket` to another path"
                ),
            );
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => refuse(
            io::ErrorKind::AddrInUse,
            format!(
                "another lbd answers on {shown}: stop it first, or set `api_socket` to another path"
            ),
        ),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => refuse(
            error.kind(),
            format!("cannot tell whether an lbd answers on {shown}: {error}"),
        ),
    }
}
