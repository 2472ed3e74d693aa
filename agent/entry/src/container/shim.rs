//! The shim of a container: the process that its runtime runs under. The entry's runtime gets the same
//! mounts, control group namespace, limits, scheduling, umask and PATH.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::Pid;
use rustix::thread::ThreadNameSpaceType;

use podgate_node_entry::reason::Reason;
use podgate_node_entry::system::{Steps, Surroundings};

use super::node::Root;
use crate::processes::{self, Stat};

/// Where programs are, if the shim has no PATH.
const PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A shim that runs.
#[derive(Clone, Debug)]
pub(crate) struct Shim(i32);

impl Shim {
    /// The parent of the container's first process. If it is the node's first process, the shim is gone.
    pub(crate) fn of(first: &Stat) -> Result<Self, Reason> {
        let shim = processes::stat(first.parent).filter(|it| it.pid > 1 && !it.has_ended());
        shim.map(|it| Self(it.pid)).ok_or(Reason::Gone)
    }

    /// Its PATH.
    pub(crate) fn path(&self) -> OsString {
        let environment = processes::read(self.0, "environ").unwrap_or_default();
        let mut pairs = environment.split(|&byte| byte == 0);
        let path = pairs.find_map(|pair| pair.strip_prefix(b"PATH="));
        OsString::from_vec(path.filter(|it| !it.is_empty()).unwrap_or(PATH).to_vec())
    }

    /// Where a program is that it would run, in its own root.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf, Reason> {
        let root = Root::of(self.0).map_err(|_| Reason::Gone)?;
        let missing = || Reason::Entry(format!("the node has no {name}"));
        if name.contains('/') {
            let path = PathBuf::from(name);
            return Some(path)
                .filter(|it| root.is_program(it))
                .ok_or_else(missing);
        }
        let path = self.path();
        let folders = path.as_bytes().split(|&byte| byte == b':');
        let mut paths =
            folders.map(|folder| Path::new(std::ffi::OsStr::from_bytes(folder)).join(name));
        let found = paths.find(|path| path.is_absolute() && root.is_program(path));
        found.ok_or_else(missing)
    }

    /// The last steps of a child that is to run as it does.
    pub(crate) fn steps(&self) -> Result<Steps, Reason> {
        self.look().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Reason::Gone,
            _ if error.raw_os_error() == Some(libc::ESRCH) => Reason::Gone,
            _ => Reason::Entry(format!("the container's shim: {error}")),
        })
    }

    fn look(&self) -> io::Result<Steps> {
        let pid = Pid::from_raw(self.0).ok_or(io::ErrorKind::NotFound)?;
        let open = |kind: &str| {
            let path = format!("/proc/{}/ns/{kind}", self.0);
            openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        };
        let umask = processes::status(self.0, "Umask:").ok_or(io::ErrorKind::NotFound)?;
        Ok(Steps {
            surroundings: Surroundings::of(pid)?,
            umask: u32::from_str_radix(&umask, 8).map_err(io::Error::other)?,
            namespaces: [
                (open("mnt")?, ThreadNameSpaceType::MOUNT),
                (open("cgroup")?, ThreadNameSpaceType::CONTROL_GROUP),
            ],
            descriptors: Vec::new(),
        })
    }
}
