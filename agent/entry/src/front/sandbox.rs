//! Gives up everything that the front does not need, before the first connection: capabilities, its
//! user, the ways to new ones, and system calls. /proc/PID/status shows what is left.

use rustix::fs::{Gid, Uid};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// A user that nothing else runs as: the kernel counts the descriptors that lie in sockets by user, so what has
/// the same one could keep the front from passing any on (unix(7), ETOOMANYREFS).
const USER: u32 = 61348;

/// Why the front does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot drop privileges: {0}")]
    Privileges(#[from] rustix::io::Errno),
    #[error("cannot filter system calls: {0}")]
    Filter(#[from] seccompiler::Error),
    #[error("cannot filter system calls: {0}")]
    Backend(#[from] seccompiler::BackendError),
    #[error("system calls cannot be filtered on this architecture")]
    Architecture,
}

/// To be called while there is one thread.
pub(crate) fn narrow() -> Result<(), Error> {
    for capability in CapabilitySet::all().iter() {
        // A kernel does not know those that are newer than itself.
        if capability_is_in_bounding_set(capability).unwrap_or(false) {
            remove_capability_from_bounding_set(capability)?;
        }
    }
    clear_ambient_capability_set()?;
    let (user, group) = (Uid::from_raw(USER), Gid::from_raw(USER));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    set_capabilities(None, sets)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_no_new_privs(true)?;
    let architecture =
        TargetArch::try_from(std::env::consts::ARCH).map_err(|_| Error::Architecture)?;
    let rules = CALLS.iter().map(|&call| (call, Vec::new())).collect();
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, refused, SeccompAction::Allow, architecture)?;
    Ok(seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?)
}

/// All else fails with EPERM. There is none that opens a file or starts a process.
const CALLS: &[libc::c_long] = &[
    // sockets
    libc::SYS_accept4,
    libc::SYS_getsockopt,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_close,
    // descriptors that came
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_fcntl,
    // stderr, and the program's own running
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];
