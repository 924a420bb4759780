//! The agent's unix socket.

use std::{
    fs, io,
    os::unix::{fs::FileTypeExt as _, net::UnixStream},
    path::{Path, PathBuf},
};

use nix::sys::stat::{Mode, umask};
use tokio::net::UnixListener;

/// The socket can not be made.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A process answers on it.
    #[error("socket {}: another process is listening; stop it, or set agent.socket to another path", .0.display())]
    InUse(PathBuf),
    /// The path belongs to something else.
    #[error("socket {}: exists and is no socket; set agent.socket to another path", .0.display())]
    NoSocket(PathBuf),
    /// The system refused.
    #[error("socket {}: can not be made", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Listens on a unix socket that only root may open. What a killed agent left is replaced.
pub fn listen(path: &Path) -> Result<UnixListener, ListenError> {
    let error = |source| ListenError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ListenError::NoSocket(path.to_owned()));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(ListenError::InUse(path.to_owned()));
        }
        Ok(_) => fs::remove_file(path).map_err(error)?,
        Err(_) => {}
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(error)?;
    }
    // A socket gets its mode from the mask at bind: changing it later leaves a moment in which
    // anybody may connect.
    let mask = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path).map_err(error);
    umask(mask);
    listener
}
