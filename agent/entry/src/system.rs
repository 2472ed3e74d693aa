//! The calls for which there is no safe wrapper, and nothing else: what a program was started with,
//! signals, and a child's last steps before its execve.
#![allow(unsafe_code, reason = "each block says why it is sound")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, ThreadNameSpaceType, move_into_thread_name_spaces};

use crate::status::Status;

/// The first descriptor that a program is given beside stdin, stdout and stderr.
pub const FIRST: RawFd = 3;
/// How many such there are at the most.
pub const MOST: usize = 5;

/// Takes a descriptor that this program was started with, once.
///
/// # Errors
/// When it is not open, or was taken before.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    static TAKEN: AtomicU64 = AtomicU64::new(0);
    let bit = u32::try_from(number).ok().and_then(|n| 1u64.checked_shl(n));
    let bit = bit.ok_or(io::ErrorKind::InvalidInput)?;
    if TAKEN.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: a query about a number, which may be of no descriptor.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and nobody else was given it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Keeps the numbers that programs are given their descriptors at, so that no other descriptor of this
/// process ever has one of them.
///
/// # Errors
/// When this process has too many descriptors.
pub fn reserve() -> io::Result<()> {
    let most = FIRST + i32::try_from(MOST).unwrap_or(0);
    loop {
        let null: OwnedFd = std::fs::File::open("/dev/null")?.into();
        if null.as_raw_fd() >= most {
            return Ok(());
        }
        std::mem::forget(null);
    }
}

/// Has this process take as many descriptors as it may: it has some for each program, and what starts it
/// often allows no more than 1,024. Programs have the limits of their container's shim
/// ([`Surroundings`]).
///
/// # Errors
/// The system's.
pub fn raise_descriptors() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

fn set_of(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: sigemptyset makes it a set, and sigaddset ignores what is no signal.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for &signal in signals {
            libc::sigaddset(&mut set, signal);
        }
        set
    }
}

/// Blocks signals in this thread and in those that it starts later, and gives a descriptor that is
/// readable while one waits.
///
/// # Errors
/// When this process has too many descriptors.
pub fn block(signals: &[i32]) -> io::Result<OwnedFd> {
    let set = set_of(signals);
    // SAFETY: the set is one; the old mask is not asked for.
    let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed));
    }
    // SAFETY: the set is one; the descriptor is new.
    match unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) } {
        error if error < 0 => Err(io::Error::last_os_error()),
        // SAFETY: as above.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

/// The user of a socket's other end, as it was when it connected. rustix's call fails where that is of another pid
/// namespace, since its pid is 0 here.
///
/// # Errors
/// When it is no unix socket that is connected.
pub fn peer_user(socket: &OwnedFd) -> io::Result<u32> {
    let mut found = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut size = libc::socklen_t::try_from(size_of_val(&found)).map_err(io::Error::other)?;
    // SAFETY: no more bytes are written than `size` says, which is that of `found`.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut size,
        )
    };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(found.uid)
}

/// What a process has that its children inherit, and a runtime does not set itself.
#[derive(Debug)]
pub struct Surroundings {
    limits: Vec<(u32, libc::rlimit)>,
    policy: i32,
    priority: libc::sched_param,
    io_priority: libc::c_long,
    nice: i32,
    affinity: CpuSet,
    /// How soon it is killed where memory is short, as /proc has it.
    memory_score: Vec<u8>,
}

/// Resources of setrlimit(2), all of them.
const RESOURCES: std::ops::Range<u32> = 0..16;
/// IOPRIO_WHO_PROCESS of include/uapi/linux/ioprio.h.
const OF_PROCESS: libc::c_int = 1;

impl Surroundings {
    /// Those of a process.
    ///
    /// # Errors
    /// When it has ended, or may not be looked at.
    pub fn of(pid: Pid) -> io::Result<Self> {
        let raw = pid.as_raw_nonzero().get();
        let mut limits = Vec::new();
        for resource in RESOURCES {
            let mut limit = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            // SAFETY: only the limit is written to.
            if unsafe { libc::prlimit(raw, resource, std::ptr::null(), &mut limit) } != 0 {
                return Err(io::Error::last_os_error());
            }
            limits.push((resource, limit));
        }
        let mut priority = libc::sched_param { sched_priority: 0 };
        // SAFETY: only the parameter is written to.
        let policy = unsafe {
            libc::sched_getparam(raw, &mut priority);
            libc::sched_getscheduler(raw)
        };
        if policy < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            limits,
            policy,
            priority,
            // SAFETY: it reads a number.
            io_priority: unsafe { libc::syscall(libc::SYS_ioprio_get, OF_PROCESS, raw) },
            nice: rustix::process::getpriority_process(Some(pid))?,
            affinity: rustix::thread::sched_getaffinity(Some(pid))?,
            memory_score: std::fs::read(format!("/proc/{raw}/oom_score_adj"))?,
        })
    }

    /// Takes them on, between fork and execve: no memory is allocated.
    fn take_on(&self) -> io::Result<()> {
        // To lower it takes a capability that a test's machine may lack.
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let score = open(c"/proc/self/oom_score_adj", flags, Mode::empty())?;
        let _ = rustix::io::write(&score, &self.memory_score);
        // After the last file that is opened: more may be open than the limit allows.
        for (resource, limit) in &self.limits {
            // SAFETY: the limit is only read.
            if unsafe { libc::setrlimit(*resource, limit) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        // SAFETY: the parameter is only read.
        if unsafe { libc::sched_setscheduler(0, self.policy, &self.priority) } != 0 {
            return Err(io::Error::last_os_error());
        }
        rustix::process::setpriority_process(None, self.nice)?;
        // Where it cannot be had, the control group's own rule decides.
        let _ = rustix::thread::sched_setaffinity(None, &self.affinity);
        if self.io_priority > 0 {
            // SAFETY: it takes numbers.
            unsafe { libc::syscall(libc::SYS_ioprio_set, OF_PROCESS, 0, self.io_priority) };
        }
        Ok(())
    }
}

/// A child's last steps.
#[derive(Debug)]
pub struct Steps {
    /// Taken on before the namespaces are entered.
    pub surroundings: Surroundings,
    /// The mask for new files.
    pub umask: u32,
    /// Mount and control group namespace to run in, in this order.
    pub namespaces: [(OwnedFd, ThreadNameSpaceType); 2],
    /// What it has from [`FIRST`] on; [`MOST`] at the most. [`reserve`] was called.
    pub descriptors: Vec<OwnedFd>,
}

/// Has a command take these steps before its execve.
pub fn before_execve(command: &mut Command, steps: Steps) {
    let prepare = move || {
        steps.surroundings.take_on()?;
        rustix::process::umask(Mode::from_raw_mode(steps.umask));
        for (number, descriptor) in (FIRST..).zip(steps.descriptors.iter().take(MOST)) {
            // SAFETY: what has this number was reserved for it, so nothing else is closed by it.
            if unsafe { libc::dup2(descriptor.as_raw_fd(), number) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        let [mount, group] = &steps.namespaces;
        for (namespace, kind) in [group, mount] {
            move_into_thread_name_spaces(std::os::fd::AsFd::as_fd(namespace), *kind)?;
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls alone; it takes no lock and allocates nothing.
    unsafe { command.pre_exec(prepare) };
}

/// A child that has ended and was not waited for, if there is one. It stays so.
///
/// # Errors
/// When there is no child at all.
pub fn ended_child() -> io::Result<Option<Pid>> {
    // SAFETY: all zeros are a siginfo.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: only `info` is written to.
    if unsafe { libc::waitid(libc::P_ALL, 0, &mut info, options) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: waitid has filled in a pid, or left the zero.
    Ok(Pid::from_raw(unsafe { info.si_pid() }))
}

/// `struct pidfd_info` of include/uapi/linux/pidfd.h, version 0.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// PIDFD_GET_INFO, _IOWR(0xFF, 11, struct pidfd_info).
const GET_INFO: libc::c_ulong = 3 << 30 | 64 << 16 | 0xff << 8 | 11;
/// PIDFD_INFO_EXIT.
const EXIT: u64 = 1 << 3;

/// How a process ended whose parent is another: Linux 6.15 and later tells it by a pidfd that was opened
/// before. None if it runs, or the kernel does not tell.
pub fn exit_status(pidfd: &OwnedFd) -> Option<Status> {
    let mut info = PidfdInfo {
        mask: EXIT,
        ..PidfdInfo::default()
    };
    // SAFETY: the kernel writes as many bytes as the request's number says, which is the size of `info`.
    let done = unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_INFO, &mut info) };
    (done == 0 && info.mask & EXIT != 0).then(|| Status::from_wait(info.exit_code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_structure_has_the_size_that_the_request_names() {
        assert_eq!(size_of::<PidfdInfo>(), 64);
    }

    #[test]
    fn a_pidfd_tells_the_end_of_what_another_has_reaped() {
        let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let flags = rustix::process::PidfdFlags::empty();
        let pidfd = rustix::process::pidfd_open(pid, flags).unwrap();
        child.wait().unwrap();
        // None before Linux 6.15.
        assert!(matches!(
            exit_status(&pidfd),
            Some(Status::Exited(7)) | None
        ));
    }

    #[test]
    fn a_descriptor_is_taken_once_and_a_closed_one_never() {
        assert!(inherited(63).is_err());
        assert!(inherited(-1).is_err() && inherited(64).is_err());
        let open: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
        let number = open.as_raw_fd();
        std::mem::forget(open);
        assert!(inherited(number).is_ok());
        assert!(inherited(number).is_err());
    }
}
