//! What the starter has, its programs inherit: the runtime can only take away. So it does not run with
//! less than it needs to give.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, SecureComputingMode, capabilities, no_new_privs, secure_computing_mode,
};

use crate::processes;

/// Without these no program can be started as the container's own are.
const NEEDED: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH);

/// The kernel's first pid namespace (PROC_PID_INIT_INO of include/linux/proc_ns.h).
const FIRST: &str = "pid:[4026531836]";

/// Why the starter does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the capabilities {0:?} are missing; run it privileged")]
    Missing(CapabilitySet),
    #[error("no-new-privileges is set, and programs would inherit it; run it privileged")]
    NoNewPrivileges,
    #[error("system calls are filtered, and programs would inherit that; run it privileged")]
    Filter,
    #[error("the node's processes are not there; run it in the host's pid namespace")]
    Processes,
    #[error(transparent)]
    System(#[from] rustix::io::Errno),
}

/// Looks at what this process has.
pub(crate) fn check() -> Result<(), Error> {
    let missing = NEEDED - capabilities(None)?.effective;
    if !missing.is_empty() {
        return Err(Error::Missing(missing));
    }
    if no_new_privs()? {
        return Err(Error::NoNewPrivileges);
    }
    if secure_computing_mode()? != SecureComputingMode::Disabled {
        return Err(Error::Filter);
    }
    // A node that is itself a container has another one than the kernel's first.
    let own = processes::namespace("self", "pid");
    let is_first = own.as_deref().is_some_and(|it| it.as_os_str() == FIRST);
    if !is_first && (own.is_none() || own != processes::namespace("1", "pid")) {
        return Err(Error::Processes);
    }
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
