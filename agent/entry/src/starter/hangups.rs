//! Hangs up programs that nobody holds any more: SIGHUP, a grace, SIGKILL. A hang-up takes no longer
//! than that, whatever the processes do.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::EventfdFlags;

use super::programs::HangUp;
use super::session;

/// The first pause between two looks at what is left; each is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(20);
/// The longest.
const LONGEST: Duration = Duration::from_secs(1);

/// Does it in a thread, and says when it is over.
pub(crate) fn start(hangup: HangUp, grace: Duration, over: &Arc<Wake>) {
    if hangup.sessions.is_empty() {
        return;
    }
    let over = over.clone();
    let thread = thread::Builder::new().name("hang-up".into());
    let spawned = thread.spawn(move || {
        let mut hangup = hangup;
        let killed = run(&mut hangup, grace);
        let count = hangup.sessions.len();
        // Its places are free before it is said to be over.
        drop(hangup);
        eprintln!("podgate-node-entry: hung up {count} programs, killed {killed} processes");
        over.wake();
    });
    if let Err(error) = spawned {
        crate::end::fatal(&format!("cannot hang up: {error}"));
    }
}

/// How many processes had to be killed.
fn run(hangup: &mut HangUp, grace: Duration) -> usize {
    // A terminal hangs up by its closing, and a second signal would be one too many.
    hangup.masters.clear();
    // One look for all of them: a node may have many sessions, and many processes.
    let all = session::look();
    let on_pipes = hangup.sessions.iter().filter(|(_, it)| it.pipes.is_some());
    for (_, session) in on_pipes {
        session.hang_up_among(&all);
    }
    let end = Instant::now() + grace;
    let mut pause = FIRST;
    loop {
        let all = session::look();
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || hangup.sessions.iter().all(|(_, it)| it.is_over(&all)) {
            break;
        }
        wait(pause.min(left));
        pause = LONGEST.min(pause * 2);
    }
    let all = session::look();
    let sessions = hangup.sessions.iter();
    sessions.map(|(_, it)| it.kill_among(&all)).sum()
}

/// Nothing tells of the end of processes that are no children.
fn wait(time: Duration) {
    let (_never, event) = sync_channel::<()>(1);
    // The sender lives, so the time runs out.
    let _ = event.recv_timeout(time);
}

/// Wakes the thread that decides whether this process ends.
#[derive(Debug)]
pub(crate) struct Wake(pub(crate) OwnedFd);

impl Wake {
    pub(crate) fn new() -> std::io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(rustix::event::eventfd(0, flags)?))
    }

    pub(crate) fn wake(&self) {
        // It fails only when it is readable already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}
