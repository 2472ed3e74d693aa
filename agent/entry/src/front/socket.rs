//! The socket, in a folder that is closed to all but the agent. It is made while there are capabilities,
//! before the front has given them up.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind as bind_to, listen, socket_with,
};
use rustix::process::geteuid;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 16;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0} has no parent folder")]
    NoFolder(PathBuf),
    #[error(
        "{path}, where the socket is, must belong to the agent and be closed to others (mode {mode:o})"
    )]
    Open { path: PathBuf, mode: u32 },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// Listens. A socket that an earlier run has left is replaced.
pub(crate) fn bind(path: &Path, agent: Option<u32>) -> Result<OwnedFd, Error> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.ok_or_else(|| Error::NoFolder(path.to_owned()))?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    let owner = agent.unwrap_or(geteuid().as_raw());
    make(folder, owner).map_err(failed(folder))?;
    let found = fs::symlink_metadata(folder).map_err(failed(folder))?;
    // Whoever may write there may put another socket in its place.
    if !found.is_dir() || found.uid() != owner || found.mode() & 0o077 != 0 {
        let (path, mode) = (folder.to_owned(), found.mode() & 0o7777);
        return Err(Error::Open { path, mode });
    }
    open(path, owner).map_err(failed(path))
}

fn make(folder: &Path, owner: u32) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    lchown(folder, Some(owner), None)
}

fn open(path: &Path, owner: u32) -> io::Result<OwnedFd> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    bind_to(&socket, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    lchown(path, Some(owner), None)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}
