//! Gives up everything that requests do not need, before the first is read: capabilities, the ways to
//! new ones, and system calls. /proc/PID/status shows what is left.

use std::collections::BTreeMap;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// To signal processes of other users, to read their files under /proc, and to look at their terminals
/// and pipes, which those users own.
const NEEDED: CapabilitySet = CapabilitySet::KILL
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH);

/// Why the helper does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the capabilities {0:?} are missing")]
    Missing(CapabilitySet),
    #[error("cannot drop privileges: {0}")]
    Privileges(#[from] rustix::io::Errno),
    #[error("cannot filter system calls: {0}")]
    Filter(#[from] seccompiler::Error),
    #[error("system calls cannot be filtered on this architecture")]
    Architecture,
}

/// Gives up capabilities and the ways to new ones. Call it before there are other threads: they inherit
/// all of it.
pub(crate) fn narrow() -> Result<(), Error> {
    let missing = NEEDED - capabilities(None)?.permitted;
    if !missing.is_empty() {
        return Err(Error::Missing(missing));
    }
    for capability in CapabilitySet::all().difference(NEEDED).iter() {
        // An older kernel does not know newer capabilities.
        if capability_is_in_bounding_set(capability).unwrap_or(false) {
            remove_capability_from_bounding_set(capability)?;
        }
    }
    clear_ambient_capability_set()?;
    let sets = CapabilitySets {
        effective: NEEDED,
        permitted: NEEDED,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(set_no_new_privs(true)?)
}

/// Filters the system calls of all threads. Call it once they have started: no thread can be started
/// afterwards.
pub(crate) fn filter_calls() -> Result<(), Error> {
    Ok(seccompiler::apply_filter_all_threads(&filter()?)?)
}

/// All else fails with EPERM.
fn filter() -> Result<BpfProgram, Error> {
    let calls = [
        // the socket
        libc::SYS_accept4,
        libc::SYS_getsockopt,
        libc::SYS_setsockopt,
        libc::SYS_recvfrom,
        libc::SYS_sendto,
        // /proc and what is reached through it
        libc::SYS_openat,
        libc::SYS_read,
        libc::SYS_close,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_lseek,
        libc::SYS_getdents64,
        libc::SYS_readlinkat,
        libc::SYS_fcntl,
        libc::SYS_ppoll,
        // processes
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_send_signal,
        // stderr, and the program's own running
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigtimedwait,
        libc::SYS_rt_sigreturn,
        libc::SYS_restart_syscall,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_getrandom,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_exit,
        libc::SYS_exit_group,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll,
    ];
    let architecture =
        TargetArch::try_from(std::env::consts::ARCH).map_err(|_| Error::Architecture)?;
    let mut rules: BTreeMap<_, _> = calls.into_iter().map(|call| (call, Vec::new())).collect();
    // Of a terminal, only its size can be read.
    let size = SeccompCondition::new(
        1,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Eq,
        libc::TIOCGWINSZ,
    );
    let size = size.and_then(|size| SeccompRule::new(vec![size]));
    rules.insert(
        libc::SYS_ioctl,
        vec![size.map_err(seccompiler::Error::from)?],
    );
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, refused, SeccompAction::Allow, architecture);
    let program = filter.and_then(BpfProgram::try_from);
    Ok(program.map_err(seccompiler::Error::from)?)
}
