//! Looks at processes that may never return: what a process maps or reads may lie on a file system that
//! no longer answers. Each look runs on a thread of its own and is given up after a while. The thread
//! is lost until the file system answers, and cannot be killed. So the lost threads are bounded, also
//! for each container, and no process is looked at while a look at it hangs.

use std::collections::VecDeque;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::{Args, value_parser};
use procfs::process::Stat;

use podgate_helper::protocol::ContainerId;

/// How long a look may take. Two of them take less than the agent waits for an answer.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// The default bounds.
const MOST: Most = Most {
    of_node: 56,
    of_container: 2,
};

// A doc comment would be the program's help.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Most {
    /// Looks at processes that may hang at a time. Each has a thread. Beyond that no process is looked at.
    #[arg(long = "hanging-looks", default_value_t = MOST.of_node, value_parser = value_parser!(u16).range(1..=512))]
    of_node: u16,
    /// The same for the processes of one container.
    #[arg(long = "hanging-looks-per-container", default_value_t = MOST.of_container, value_parser = value_parser!(u16).range(1..=512))]
    of_container: u16,
}

/// A look at this process hangs, now or since an earlier request.
#[derive(Debug, thiserror::Error)]
#[error("a look at process {0} hangs")]
pub(crate) struct Hangs(i32);

type Job = Box<dyn FnOnce() + Send>;

struct State {
    most: Most,
    jobs: VecDeque<Job>,
    hanging: Vec<Look>,
    next: u64,
}

/// A look that was given up.
struct Look {
    number: u64,
    /// Pid and start time.
    process: (i32, u64),
    container: ContainerId,
}

static STATE: Mutex<State> = Mutex::new(State {
    most: MOST,
    jobs: VecDeque::new(),
    hanging: Vec::new(),
    next: 0,
});
static MORE: Condvar = Condvar::new();

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets how many looks may hang.
pub(crate) fn bound(most: Most) {
    state().most = most;
}

/// How many threads must run [`work`] if `asking` threads look at processes at a time.
pub(crate) fn workers(asking: usize) -> usize {
    asking + usize::from(state().most.of_node)
}

/// Makes looks, forever.
pub(crate) fn work() {
    loop {
        let next = MORE.wait_while(state(), |state| state.jobs.is_empty());
        let job = next
            .unwrap_or_else(PoisonError::into_inner)
            .jobs
            .pop_front();
        if let Some(job) = job {
            job();
        }
    }
}

/// How many looks hang.
pub(crate) fn hanging() -> usize {
    state().hanging.len()
}

/// Looks at a process of a container on another thread, and waits for a bounded time.
pub(crate) fn at<T: Send + 'static>(
    process: &Stat,
    container: &ContainerId,
    look: impl FnOnce(i32) -> T + Send + 'static,
) -> Result<T, Hangs> {
    let pid = process.pid;
    let process = (pid, process.starttime);
    let (give, taken) = sync_channel(1);
    let number = {
        let mut state = state();
        let hanging = &state.hanging;
        let of_container = hanging.iter().filter(|one| one.container == *container);
        if hanging.len() >= usize::from(state.most.of_node)
            || of_container.count() >= usize::from(state.most.of_container)
            || hanging.iter().any(|one| one.process == process)
        {
            return Err(Hangs(pid));
        }
        let number = state.next;
        state.next += 1;
        state.jobs.push_back(Box::new(move || {
            let _ = give.send(look(pid));
            let mut state = self::state();
            state.hanging.retain(|one| one.number != number);
        }));
        number
    };
    MORE.notify_one();
    match taken.recv_timeout(LOOK_TIMEOUT) {
        Ok(seen) => return Ok(seen),
        Err(RecvTimeoutError::Disconnected) => return Err(Hangs(pid)),
        Err(RecvTimeoutError::Timeout) => {}
    }
    let mut state = state();
    // The look may have returned just now.
    if let Ok(seen) = taken.try_recv() {
        return Ok(seen);
    }
    state.hanging.push(Look {
        number,
        process,
        container: container.clone(),
    });
    let all = state.hanging.len();
    drop(state);
    eprintln!("podgate-node-helper: a look at process {pid} hangs, {all} in all");
    Err(Hangs(pid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_look_that_hangs_costs_its_own_thread_alone() {
        bound(Most { of_node: 3, ..MOST });
        assert_eq!(workers(1), 4);
        for _ in 0..workers(1) {
            std::thread::spawn(work);
        }
        let own = procfs::process::Process::myself().unwrap().stat().unwrap();
        let other = |pid| {
            let mut other = own.clone();
            other.pid = pid;
            other
        };
        let (a, b, c) = (["a", "b", "c"])
            .map(|id| ContainerId::try_from(id.repeat(64)).unwrap())
            .into();
        let (end, never) = channel::<()>();
        let never = std::sync::Arc::new(Mutex::new(never));
        let hang = |pid: i32, container: &ContainerId| {
            let never = std::sync::Arc::clone(&never);
            at(&other(pid), container, move |_| {
                let _ = never.lock().unwrap().recv();
            })
        };
        assert_eq!(at(&own, &a, |pid| pid).unwrap(), own.pid);
        assert!(hang(1, &a).is_err());
        assert_eq!(hanging(), 1);
        assert!(at(&other(1), &a, |_| ()).is_err(), "the same one again");
        assert_eq!(at(&other(2), &a, |pid| pid).unwrap(), 2);
        assert!(hang(3, &a).is_err());
        assert!(
            at(&other(2), &a, |_| ()).is_err(),
            "enough of this container"
        );
        assert_eq!(at(&other(2), &b, |pid| pid).unwrap(), 2);
        assert!(hang(4, &b).is_err());
        assert!(at(&other(2), &c, |_| ()).is_err(), "enough of the node");
        drop(end);
        while hanging() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(at(&other(1), &a, |pid| pid).unwrap(), 1);
    }
}
