//! How the kernel gives a thread its turns. There is no safe wrapper for these calls.
#![allow(unsafe_code, reason = "each block says why it is sound")]

use std::io;

/// The slice of a thread that serves shells: 0.1 ms, the shortest that Linux takes. The default is some 3 ms.
const SHORT: u64 = 100_000;

/// The policies that a thread is moved between; one with another policy stays as it is.
const OTHER: u32 = libc::SCHED_OTHER as u32;
const BATCH: u32 = libc::SCHED_BATCH as u32;

/// `struct sched_attr` of its first version (sched_setattr(2)).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

const SIZE: u32 = size_of::<Attributes>() as u32;

/// What a thread does, as the kernel should know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Little at a time: it runs as soon as it has something to do (its slice is short, from Linux 6.12 on).
    Shells,
    /// Much: it takes a processor from nobody when it has something to do, so that it finds more to do at once.
    Transfers,
}

/// Tells the kernel what the calling thread does. It takes no privilege, and all else that the scheduler knows of the
/// thread stays.
pub fn tell(work: Work) -> io::Result<()> {
    let mut attributes = get()?;
    if attributes.policy != OTHER && attributes.policy != BATCH {
        return Ok(());
    }
    (attributes.policy, attributes.runtime) = match work {
        Work::Shells => (OTHER, SHORT),
        Work::Transfers => (BATCH, 0),
    };
    set(&attributes)
}

/// Gives the calling thread this nice value (nice(2)), and no other thread: Linux has one for each.
pub fn lower(nice: i32) -> io::Result<()> {
    Ok(rustix::process::setpriority_process(None, nice)?)
}

fn get() -> io::Result<Attributes> {
    let mut attributes = Attributes::default();
    // SAFETY: the kernel writes at most SIZE bytes to `attributes`.
    let done = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0) };
    check(done)?;
    Ok(attributes)
}

fn set(attributes: &Attributes) -> io::Result<()> {
    // SAFETY: the kernel only reads `attributes`, whose size it is told there.
    let done = unsafe {
        libc::syscall(
            libc::SYS_sched_setattr,
            0,
            std::ptr::from_ref(attributes),
            0,
        )
    };
    check(done)
}

fn check(done: libc::c_long) -> io::Result<()> {
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_policy_and_slice_change() {
        let before = get().unwrap();
        assert_eq!((before.size, before.policy), (SIZE, OTHER));
        tell(Work::Transfers).unwrap();
        let transfers = get().unwrap();
        assert_eq!((transfers.policy, transfers.nice), (BATCH, before.nice));
        tell(Work::Shells).unwrap();
        let shells = get().unwrap();
        assert_eq!((shells.policy, shells.nice), (OTHER, before.nice));
        // Older kernels say 0 for the slice, and ignore what they are told.
        if before.runtime > 0 {
            assert_eq!(shells.runtime, SHORT);
        }
    }

    #[test]
    fn one_thread_alone_is_lowered() {
        let before = get().unwrap().nice;
        let lowered = std::thread::spawn(|| lower(7).and_then(|()| get()));
        assert_eq!(lowered.join().unwrap().unwrap().nice, before.max(7));
        assert_eq!(get().unwrap().nice, before);
    }
}
