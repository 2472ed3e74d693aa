//! Requests about paths. The container's own kernel and user decide what each may reach.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, RenameFlags};
use rustix::io::Errno;

use super::failure::Failure;
use super::names;

/// Renames, and never replaces. Filesystems that cannot promise that are looked at first.
pub(crate) fn rename(from: &[u8], to: &[u8]) -> Result<(), Failure> {
    match fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => {}
        Err(Errno::EXIST) => return Err(Failure::EXISTS),
        done => return Ok(done?),
    }
    match fs::lstat(to) {
        Err(Errno::NOENT) => Ok(fs::rename(from, to)?),
        Ok(_) => Err(Failure::EXISTS),
        Err(error) => Err(error.into()),
    }
}

/// A hard link. Of a symbolic link, it is a link to the symbolic link itself.
pub(crate) fn hard_link(from: &[u8], to: &[u8]) -> Result<(), Failure> {
    Ok(fs::linkat(CWD, from, CWD, to, AtFlags::empty())?)
}

/// The absolute path without links. As for OpenSSH, its last part need not be there.
pub(crate) fn real(path: &[u8]) -> Result<Vec<u8>, Failure> {
    let path = match path {
        [] => Path::new("."),
        path => Path::new(OsStr::from_bytes(path)),
    };
    let real = match path.canonicalize() {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => {
            let name = path.file_name().ok_or(error)?;
            let parent = match path.parent() {
                Some(parent) if parent != Path::new("") => parent,
                _ => Path::new("."),
            };
            parent.canonicalize()?.join(name)
        }
        found => found?,
    };
    Ok(bytes(real))
}

/// The absolute path, with a leading `~` or `~user` expanded. The path need not exist.
pub(crate) fn expand(path: &[u8]) -> Result<Vec<u8>, Failure> {
    let start = std::env::current_dir()?;
    let Some(of_user) = path.strip_prefix(b"~") else {
        return Ok(bytes(start.join(OsStr::from_bytes(path))));
    };
    let slash = of_user.iter().position(|byte| *byte == b'/');
    let (user, rest) = of_user.split_at(slash.unwrap_or(of_user.len()));
    let home = match user {
        [] => start,
        user => PathBuf::from(OsStr::from_bytes(
            &names::home(user).ok_or(Failure::NO_USER)?,
        )),
    };
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    Ok(match rest {
        [] => bytes(home),
        rest => bytes(home.join(OsStr::from_bytes(rest))),
    })
}

fn bytes(path: PathBuf) -> Vec<u8> {
    path.into_os_string().into_vec()
}
