//! Gives up everything that requests do not need, before the first is read. The container's own limits
//! were there before, and stay. What they forbid is reported before a request is read, too.

use std::collections::BTreeMap;
use std::io::stdin;
use std::mem::MaybeUninit;

use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, Timestamps};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::set_no_new_privs;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// Why the worker does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "this container's own seccomp filter forbids {0}, which a file server needs; \
         an sftp-server in the image may work"
    )]
    Forbidden(&'static str),
    #[error("cannot drop privileges: {0}")]
    Privileges(#[from] Errno),
    #[error("cannot filter system calls: {0}")]
    Filter(#[from] seccompiler::Error),
    #[error("system calls cannot be filtered on this architecture")]
    Architecture,
}

/// Narrows this process, which has one thread, to files.
pub(crate) fn narrow() -> Result<(), Error> {
    check()?;
    narrow_to(FILES)
}

/// Narrows it to sockets, whose paths are relative to the root folder as sshd's are. The error of the first that
/// cannot be made says what is forbidden.
pub(crate) fn narrow_to_sockets() -> Result<(), Error> {
    rustix::process::chdir("/")?;
    narrow_to(SOCKETS)
}

fn narrow_to(calls: &[libc::c_long]) -> Result<(), Error> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_no_new_privs(true)?;
    seccompiler::apply_filter(&filter(calls)?)?;
    Ok(())
}

/// Tries each call on a path that does not exist, or on a pipe or socket that it does not fit: then
/// only a filter answers with EPERM or ENOSYS.
fn check() -> Result<(), Error> {
    let none: &[u8] = b"";
    let stdin = stdin();
    let times = Timestamps {
        last_access: rustix::fs::Timespec::default(),
        last_modification: rustix::fs::Timespec::default(),
    };
    let mut buffer = [0];
    let mut entries = [MaybeUninit::uninit(); 1024];
    let tried = [
        (
            "openat",
            fs::open(none, OFlags::RDONLY, Mode::empty()).map(drop),
        ),
        (
            "getdents64",
            fs::RawDir::new(&stdin, &mut entries)
                .next()
                .map_or(Ok(()), |entry| entry.map(drop)),
        ),
        ("newfstatat", fs::lstat(none).map(drop)),
        ("readlinkat", fs::readlink(none, Vec::new()).map(drop)),
        ("mkdirat", fs::mkdir(none, Mode::empty())),
        ("unlinkat", fs::unlink(none)),
        ("renameat", fs::rename(none, none)),
        ("symlinkat", fs::symlink(none, none)),
        ("linkat", fs::linkat(CWD, none, CWD, none, AtFlags::empty())),
        ("fchmodat", fs::chmod(none, Mode::empty())),
        ("fchownat", fs::chown(none, None, None)),
        (
            "utimensat",
            fs::utimensat(CWD, none, &times, AtFlags::empty()),
        ),
        (
            "lseek",
            fs::seek(&stdin, fs::SeekFrom::Current(0)).map(drop),
        ),
        // No file can have that length.
        ("ftruncate", fs::ftruncate(&stdin, u64::MAX)),
        ("fsync", fs::fsync(&stdin)),
        (
            "pread64",
            rustix::io::pread(&stdin, &mut buffer, 0).map(drop),
        ),
        ("pwrite64", rustix::io::pwrite(&stdin, &buffer, 0).map(drop)),
    ];
    let forbidden = |result: &Result<(), Errno>| matches!(result, Err(Errno::PERM | Errno::NOSYS));
    match tried.iter().find(|(_, result)| forbidden(result)) {
        Some((call, _)) => Err(Error::Forbidden(call)),
        None => Ok(()),
    }
}

/// The calls that serve files.
const FILES: &[libc::c_long] = &[
    // the client, files and folders
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_getdents64,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_symlinkat,
    libc::SYS_linkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_getuid,
    // the same by their older names
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
];

/// The calls that make sockets and their paths, and read the files that say how names are resolved.
const SOCKETS: &[libc::c_long] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_setsockopt,
    libc::SYS_umask,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
    libc::SYS_geteuid,
    libc::SYS_getdents64,
    libc::SYS_fcntl,
    libc::SYS_openat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_read,
    libc::SYS_close,
    // stderr
    libc::SYS_write,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
];

/// The calls of the program's own running.
const RUNNING: &[libc::c_long] = &[
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// All else fails with EPERM.
fn filter(calls: &[libc::c_long]) -> Result<BpfProgram, Error> {
    let architecture =
        TargetArch::try_from(std::env::consts::ARCH).map_err(|_| Error::Architecture)?;
    let rules: BTreeMap<_, _> = calls
        .iter()
        .chain(RUNNING)
        .map(|&call| (call, Vec::new()))
        .collect();
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, refused, SeccompAction::Allow, architecture);
    let program = filter.and_then(BpfProgram::try_from);
    Ok(program.map_err(seccompiler::Error::from)?)
}
