//! Between what the kernel knows of a file and what SFTP tells.

use std::fs::File;

use podgate_sftp::attributes::Attributes;
use podgate_sftp::reply::StatVfs;
use rustix::fs::{self, AtFlags, CWD, Gid, Mode, OFlags, Stat, StatVfsMountFlags, Timestamps, Uid};
use rustix::io::Errno;

use super::failure::Failure;
use crate::system::timestamps;

/// The bits of `st_mode` that chmod(2) takes.
const PERMISSIONS: u32 = 0o7777;

#[allow(
    clippy::useless_conversion,
    reason = "the types of `Stat` differ between architectures"
)]
pub(crate) fn attributes(stat: &Stat) -> Attributes {
    let seconds = |time: i64| u32::try_from(time).unwrap_or(if time < 0 { 0 } else { u32::MAX });
    Attributes {
        size: u64::try_from(stat.st_size).ok(),
        owner: Some((stat.st_uid, stat.st_gid)),
        permissions: Some(stat.st_mode),
        times: Some((seconds(stat.st_atime.into()), seconds(stat.st_mtime.into()))),
    }
}

pub(crate) fn figures(of: &rustix::fs::StatVfs) -> StatVfs {
    let flag = |there: bool, flag: u64| if there { flag } else { 0 };
    StatVfs {
        bsize: of.f_bsize,
        frsize: of.f_frsize,
        blocks: of.f_blocks,
        bfree: of.f_bfree,
        bavail: of.f_bavail,
        files: of.f_files,
        ffree: of.f_ffree,
        favail: of.f_favail,
        fsid: of.f_fsid,
        flag: flag(of.f_flag.contains(StatVfsMountFlags::RDONLY), 1)
            | flag(of.f_flag.contains(StatVfsMountFlags::NOSUID), 2),
        namemax: of.f_namemax,
    }
}

pub(crate) fn mode(permissions: u32) -> Mode {
    Mode::from_raw_mode(permissions & PERMISSIONS)
}

/// The calls that set one attribute each.
struct Calls<S, P, T, O> {
    size: S,
    permissions: P,
    times: T,
    owner: O,
}

impl<S, P, T, O> Calls<S, P, T, O>
where
    S: FnOnce(u64) -> Result<(), Errno>,
    P: FnOnce(Mode) -> Result<(), Errno>,
    T: FnOnce(&Timestamps) -> Result<(), Errno>,
    O: FnOnce(Option<Uid>, Option<Gid>) -> Result<(), Errno>,
{
    /// Sets what is given. As OpenSSH does, it tries all, and tells the last failure.
    fn set(self, attributes: &Attributes) -> Result<(), Failure> {
        let owner =
            |(user, group)| (self.owner)(Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
        let results = [
            attributes.size.map(self.size),
            attributes
                .permissions
                .map(|raw| (self.permissions)(mode(raw))),
            attributes
                .times
                .map(|(accessed, changed)| (self.times)(&timestamps(accessed, changed))),
            attributes.owner.map(owner),
        ];
        let mut failed = results.into_iter().flatten().filter_map(Result::err);
        match failed.next_back() {
            Some(last) => Err(last.into()),
            None => Ok(()),
        }
    }
}

/// Sets attributes of an open file.
pub(crate) fn set_of_file(file: &File, attributes: &Attributes) -> Result<(), Failure> {
    let calls = Calls {
        size: |size| fs::ftruncate(file, size),
        permissions: |mode| fs::fchmod(file, mode),
        times: |times: &Timestamps| fs::futimens(file, times),
        owner: |user, group| fs::fchown(file, user, group),
    };
    calls.set(attributes)
}

/// Sets attributes of what a path leads to.
pub(crate) fn set_of_path(path: &[u8], attributes: &Attributes) -> Result<(), Failure> {
    let truncate = |size| {
        let file = fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        fs::ftruncate(file, size)
    };
    let calls = Calls {
        size: truncate,
        permissions: |mode| fs::chmod(path, mode),
        times: |times: &Timestamps| fs::utimensat(CWD, path, times, AtFlags::empty()),
        owner: |user, group| fs::chown(path, user, group),
    };
    calls.set(attributes)
}

/// Sets attributes of a path itself, if it is a link, too. A link has no size of its own.
pub(crate) fn set_of_link(path: &[u8], attributes: &Attributes) -> Result<(), Failure> {
    const LINK: AtFlags = AtFlags::SYMLINK_NOFOLLOW;
    let calls = Calls {
        size: |_| Err(Errno::INVAL),
        permissions: |mode| fs::chmodat(CWD, path, mode, LINK),
        times: |times: &Timestamps| fs::utimensat(CWD, path, times, LINK),
        owner: |user, group| fs::chownat(CWD, path, user, group, LINK),
    };
    calls.set(attributes)
}
