//! The paths of unix sockets that this worker has made, which it removes again. A path that a killed
//! worker has left is known by its mark: only a worker gives a socket these times, and nobody listens there.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, lstat, mkdir, open,
    rmdir, unlink, utimensat,
};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, socket_with,
};
use rustix::process::{geteuid, umask};
use rustix::rand::{GetRandomFlags, getrandom};

/// The mark of a socket of ours: when it was read and changed last.
const MARK: Timespec = Timespec {
    tv_sec: 0x706f_6467,
    tv_nsec: 0x2174_6561,
};
/// Folders of agents' sockets begin with this.
const FOLDER: &str = "podgate-agent-";
/// The socket in such a folder.
const SOCKET: &str = "agent";
/// Entries of a folder that are looked at for what killed workers have left.
const MOST_ENTRIES: usize = 4096;

/// What was made, and not removed yet. The agent bounds how many there are.
#[derive(Default)]
pub(crate) struct Paths(Vec<Made>);

struct Made {
    path: Vec<u8>,
    /// The device and inode.
    file: (u64, u64),
    /// Its folder, if that was made for it.
    folder: Option<Vec<u8>>,
}

impl Paths {
    /// Binds a socket to a path, for its owner alone, as sshd does. What is there stays, unless it is a dead
    /// socket of ours, or a socket that may be replaced. What is no socket is never removed: whoever may forward
    /// may not write files for that.
    pub(crate) fn bind(
        &mut self,
        socket: &OwnedFd,
        path: &[u8],
        replace: bool,
    ) -> Result<(), Errno> {
        let address = SocketAddrUnix::new(path)?;
        let before = umask(Mode::from_raw_mode(0o177));
        let mut bound = bind(socket, &address);
        let may_be_replaced = || replace && lstat(path).is_ok_and(|stat| is_socket(&stat));
        if bound == Err(Errno::ADDRINUSE) && (may_be_replaced() || is_left(path)) {
            bound = unlink(path).and_then(|()| bind(socket, &address));
        }
        umask(before);
        bound?;
        self.note(path, None)
    }

    /// Binds a socket in a folder that is made for it: below /tmp, or else in ~/.ssh/agent. Answers its path.
    pub(crate) fn bind_private(&mut self, socket: &OwnedFd) -> Result<Vec<u8>, Errno> {
        let before = umask(Mode::from_raw_mode(0o077));
        let bound = self.bind_below("/tmp", socket).or_else(|failed| {
            let home = home().ok_or(failed)?;
            for folder in [format!("{home}/.ssh"), format!("{home}/.ssh/agent")] {
                match mkdir(&folder, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
            }
            self.bind_below(&format!("{home}/.ssh/agent"), socket)
        });
        umask(before);
        bound
    }

    fn bind_below(&mut self, parent: &str, socket: &OwnedFd) -> Result<Vec<u8>, Errno> {
        remove_left(parent);
        let mut random = [0; 8];
        getrandom(&mut random, GetRandomFlags::empty())?;
        let number = u64::from_be_bytes(random);
        let folder = format!("{parent}/{FOLDER}{number:016x}");
        let path = format!("{folder}/{SOCKET}").into_bytes();
        let address = SocketAddrUnix::new(path.as_slice())?;
        mkdir(&folder, Mode::RWXU)?;
        umask(Mode::from_raw_mode(0o177));
        let bound = bind(socket, &address);
        umask(Mode::from_raw_mode(0o077));
        let noted = bound.and_then(|()| self.note(&path, Some(folder.clone().into_bytes())));
        if noted.is_err() {
            let _ = unlink(path.as_slice());
            let _ = rmdir(&folder);
        }
        noted.map(|()| path)
    }

    fn note(&mut self, path: &[u8], folder: Option<Vec<u8>>) -> Result<(), Errno> {
        let mark = Timestamps {
            last_access: MARK,
            last_modification: MARK,
        };
        // Without its mark it is removed like any other, but not known after a kill.
        let _ = utimensat(CWD, path, &mark, AtFlags::SYMLINK_NOFOLLOW);
        let stat = lstat(path)?;
        self.0.push(Made {
            path: path.to_vec(),
            file: (stat.st_dev, stat.st_ino),
            folder,
        });
        Ok(())
    }

    /// Removes a path, if what is there was made by this worker, or left by another.
    pub(crate) fn remove(&mut self, path: &[u8]) -> Result<(), Errno> {
        let found = self.0.iter().position(|made| made.path == path);
        match found.map(|index| self.0.swap_remove(index)) {
            Some(made) => made.remove(),
            None => remove_one_left(path),
        }
        Ok(())
    }

    pub(crate) fn remove_all(&mut self) {
        for made in self.0.drain(..) {
            made.remove();
        }
    }
}

impl Made {
    fn remove(self) {
        let stat = lstat(self.path.as_slice());
        if stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.file) {
            let _ = unlink(self.path.as_slice());
        }
        if let Some(folder) = self.folder {
            let _ = rmdir(folder);
        }
    }
}

/// The user's home, if it can be a part of a socket's path.
fn home() -> Option<String> {
    let home = std::env::var("HOME").ok()?;
    let home = home.trim_end_matches('/').to_owned();
    (home.starts_with('/') && !home.contains('\0')).then_some(home)
}

/// Whether it is a socket that a worker has made for this user, and where nobody listens any more.
fn is_left(path: &[u8]) -> bool {
    let Ok(stat) = lstat(path) else {
        return false;
    };
    has_mark(&stat) && is_dead(path)
}

fn is_socket(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Socket
}

fn has_mark(stat: &Stat) -> bool {
    let time = (i128::from(stat.st_mtime), i128::from(stat.st_mtime_nsec));
    let mark = (i128::from(MARK.tv_sec), i128::from(MARK.tv_nsec));
    is_socket(stat) && stat.st_uid == geteuid().as_raw() && time == mark
}

fn is_dead(path: &[u8]) -> bool {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let connected = socket.and_then(|socket| connect(&socket, &SocketAddrUnix::new(path)?));
    connected == Err(Errno::CONNREFUSED)
}

fn remove_one_left(path: &[u8]) {
    if !is_left(path) || unlink(path).is_err() {
        return;
    }
    let folder = path.strip_suffix(format!("/{SOCKET}").as_bytes());
    let name = folder.and_then(|folder| folder.rsplit(|byte| *byte == b'/').next());
    if let (Some(folder), Some(name)) = (folder, name)
        && name.starts_with(FOLDER.as_bytes())
    {
        let _ = rmdir(folder);
    }
}

/// Removes the agents' sockets that killed workers have left in a folder.
fn remove_left(parent: &str) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = open(parent, flags, Mode::empty()).map_err(io::Error::from);
    let Some(entries) = folder.ok().and_then(|folder| Dir::new(folder).ok()) else {
        return;
    };
    for entry in entries.take(MOST_ENTRIES).filter_map(Result::ok) {
        let name = entry.file_name().to_bytes();
        if name.starts_with(FOLDER.as_bytes()) {
            let path = [parent.as_bytes(), b"/", name, b"/", SOCKET.as_bytes()].concat();
            remove_one_left(&path);
        }
    }
}
