//! Waits for children, in a thread that waits for nothing else: one that is not reaped holds its
//! container and its pod.
//!
//! The children that are known are waited for by pidfd. Others come to this process as their parents
//! end (PR_SET_CHILD_SUBREAPER). They may be what a start in flight is about to learn of, so only those
//! older than every such start are reaped.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, waitid, waitpid};

use podgate_helper::ticks;
use podgate_node_entry::status::Status;
use podgate_node_entry::system::ended_child;

use crate::end::fatal;
use crate::processes;

/// The token of the descriptor that wakes the thread.
const WAKE: u64 = 0;
/// The longest that a child that nobody knows stays.
const LOOK: Duration = Duration::from_secs(1);

/// What is done with a status; None if another has reaped it. It must not wait.
type Then = Box<dyn FnOnce(Option<Status>) + Send>;

struct Watched {
    pid: Pid,
    pidfd: OwnedFd,
    then: Then,
}

#[derive(Default)]
struct State {
    watched: HashMap<u64, Watched>,
    /// Those of which a pidfd has told already, and which cannot be reaped yet: something traces them.
    late: Vec<u64>,
    pids: HashSet<Pid>,
    /// When each start in flight began, in clock ticks since boot.
    flights: BTreeMap<u64, u64>,
    last: u64,
}

/// The thread's other end.
pub(crate) struct Reaper {
    epoll: OwnedFd,
    wake: OwnedFd,
    state: Mutex<State>,
}

/// A start: until it is dropped, no child that is younger is reaped but those that are known.
pub(crate) struct Flight {
    reaper: Arc<Reaper>,
    number: u64,
}

impl Reaper {
    pub(crate) fn start() -> io::Result<Arc<Self>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        let state = Mutex::default();
        let this = Arc::new(Self { epoll, wake, state });
        let reaper = this.clone();
        let thread = thread::Builder::new().name("reaper".into());
        thread.spawn(move || {
            if let Err(error) = reaper.reap() {
                fatal(&format!("cannot wait for children: {error}"));
            }
        })?;
        Ok(this)
    }

    /// Waits for a process, which need not be a child.
    pub(crate) fn watch(&self, pid: Pid, pidfd: OwnedFd, then: Then) -> io::Result<()> {
        let mut state = self.lock();
        state.last += 1;
        let token = state.last;
        epoll::add(
            &self.epoll,
            pidfd.as_fd(),
            EventData::new_u64(token),
            EventFlags::IN | EventFlags::ONESHOT,
        )?;
        state.pids.insert(pid);
        state.watched.insert(token, Watched { pid, pidfd, then });
        Ok(())
    }

    pub(crate) fn flight(self: &Arc<Self>) -> Flight {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.flights.insert(number, ticks::now());
        let reaper = self.clone();
        Flight { reaper, number }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reap(&self) -> io::Result<()> {
        let look = Timespec::try_from(LOOK).map_err(io::Error::other)?;
        let mut space = [MaybeUninit::uninit(); 64];
        loop {
            let tokens: Vec<u64> = match epoll::wait(&self.epoll, &mut space, Some(&look)) {
                Err(Errno::INTR) => continue,
                waited => waited?.0.iter().map(|event| event.data.u64()).collect(),
            };
            let late = std::mem::take(&mut self.lock().late);
            for token in late.into_iter().chain(tokens) {
                if token == WAKE {
                    // It is readable, or another look is harmless.
                    let _ = rustix::io::read(&self.wake, &mut [0; 8]);
                } else {
                    self.end(token)?;
                }
            }
            self.sweep();
        }
    }

    /// What a pidfd has told of.
    fn end(&self, token: u64) -> io::Result<()> {
        let mut state = self.lock();
        let Some(watched) = state.watched.get(&token) else {
            return Ok(());
        };
        let id = WaitId::PidFd(watched.pidfd.as_fd());
        let status = match waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            // Its pidfd is not waited for any more, since that would be readable all the while.
            Ok(None) => {
                state.late.push(token);
                return Ok(());
            }
            Ok(Some(status)) => Some(read(&status)),
            Err(Errno::CHILD) => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(watched) = state.watched.remove(&token) {
            state.pids.remove(&watched.pid);
            epoll::delete(&self.epoll, watched.pidfd.as_fd())?;
            drop(state);
            (watched.then)(status);
        }
        Ok(())
    }

    /// Reaps children that nobody knows.
    fn sweep(&self) {
        while let Ok(Some(pid)) = ended_child() {
            let state = self.lock();
            let oldest = state.flights.values().min().copied();
            let stat = processes::stat(pid.as_raw_nonzero().get());
            let may_be_awaited =
                oldest.is_some_and(|oldest| stat.is_none_or(|stat| stat.start_time >= oldest));
            if state.pids.contains(&pid) || may_be_awaited {
                return;
            }
            if waitpid(Some(pid), WaitOptions::NOHANG).is_err() {
                return;
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.reaper.lock().flights.remove(&self.number);
        // If it cannot be written to, the thread looks soon all the same.
        let _ = rustix::io::write(&self.reaper.wake, &1u64.to_ne_bytes());
    }
}

fn read(status: &WaitIdStatus) -> Status {
    let number = |n: Option<i32>| {
        n.and_then(|n| u8::try_from(n & 0xff).ok())
            .unwrap_or(u8::MAX)
    };
    match status.exit_status() {
        Some(code) => Status::Exited(number(Some(code))),
        None => Status::Signalled {
            signal: number(status.terminating_signal()),
            core: status.dumped(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{PidfdFlags, pidfd_open};
    use std::process::Command;
    use std::sync::mpsc::channel;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    #[allow(clippy::zombie_processes, reason = "the reaper waits for it")]
    fn a_known_child_gives_its_status_and_an_unknown_one_waits_for_the_start() {
        let reaper = Reaper::start().unwrap();
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        let flight = reaper.flight();
        // The inner shell outlives its parent, and so becomes a child of this process.
        let script = "exec 3<&0; sh -c 'read x; exit 3' <&3 >/dev/null 2>&1 & echo $!";
        let (stdin, writer) = io::pipe().unwrap();
        let mut command = Command::new("sh");
        let output = command.args(["-c", script]).stdin(stdin).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let orphan = Pid::from_raw(text.trim().parse().unwrap()).unwrap();
        let pidfd = pidfd_open(orphan, PidfdFlags::empty()).unwrap();
        drop(writer);
        let known = Command::new("sh")
            .args(["-c", "kill -9 $$"])
            .spawn()
            .unwrap();
        let (told, status) = channel();
        let watch = |pid: Pid, pidfd| {
            let told = told.clone();
            reaper
                .watch(pid, pidfd, Box::new(move |it| told.send(it).unwrap()))
                .unwrap();
        };
        let pid = Pid::from_child(&known);
        watch(pid, pidfd_open(pid, PidfdFlags::empty()).unwrap());
        let killed = Status::Signalled {
            signal: 9,
            core: false,
        };
        assert_eq!(status.recv_timeout(SOON), Ok(Some(killed)));
        // It is still there for the start that asks for it.
        watch(orphan, pidfd);
        assert_eq!(status.recv_timeout(SOON), Ok(Some(Status::Exited(3))));
        drop(flight);
        assert!(
            processes::stat(orphan.as_raw_nonzero().get()).is_none(),
            "reaped"
        );
    }
}
