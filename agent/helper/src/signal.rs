//! Signals to a session's foreground. Every process is pinned by a descriptor and looked at again
//! before it is signalled, so none that took over a pid is ever reached.

use std::collections::HashSet;
use std::fmt::Display;

use procfs::process::Stat;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::{background, descriptors, processes};
use podgate_helper::protocol::{self, Answer, HungUp, Process};
use podgate_helper::ticks;

/// How often all processes are looked at. A group that forks faster than it can be signalled is then
/// left.
const LOOKS: usize = 16;

/// Why a session was not signalled.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot signal process {pid}: {source}")]
    Signal { pid: i32, source: rustix::io::Errno },
    #[error("{0} processes, and still more are forked")]
    Forks(usize),
}

/// Sends a signal to the session's foreground: the terminal's foreground group, or without one the
/// leader's group. A wrapper that only waits for the program is left out.
pub(crate) fn signal(leader: &Process, signal: protocol::Signal) -> Answer {
    let Some(stat) = processes::find(leader) else {
        return Answer::Gone;
    };
    let wrapper = match processes::waits_for_program(&stat, &leader.container) {
        Ok(waits) => waits.then_some(stat.pid),
        Err(error) => return failed(error),
    };
    let group = foreground(&stat);
    let found = members(leader)
        .filter(|process| process.pgrp == group && Some(process.pid) != wrapper)
        .collect();
    answer(send(found, &[number(signal)]))
}

/// Sends SIGHUP and SIGCONT to the leader's group and the foreground's, as a terminal that hangs up
/// does (and sshd by closing it). Without a terminal it spares processes that have detached themselves.
/// Nothing is signalled twice, and nothing that a program starts on hearing the signal.
pub(crate) fn hang_up(leader: &Process, session: Option<&str>, seen: Option<u64>) -> Answer {
    let stat = processes::find(leader);
    if stat.is_none()
        && let Some(answer) = nothing_left(leader, session, seen)
    {
        return answer;
    }
    // A leader that is gone has taken its terminal along, so nothing is known of it.
    let given = match &stat {
        Some(stat) if stat.tty_nr != 0 => None,
        Some(stat) => Some(descriptors::given(stat.pid)),
        None => Some(Vec::new()),
    };
    let group = match &stat {
        Some(stat) => foreground(stat).unsigned_abs(),
        None => leader.pid,
    };
    let own = stat.map_or(leader.pid, |stat| stat.pgrp.unsigned_abs());
    let at = ticks::now();
    let found = members(leader).filter(|process| {
        let theirs = process.pgrp.unsigned_abs();
        let spared = |given| background::is_detached(process, leader, given);
        [group, own].contains(&theirs) && !given.as_deref().is_some_and(spared)
    });
    match send(found.collect(), &[Signal::HUP, Signal::CONT]) {
        Err(error) => failed(error),
        Ok(_) => Answer::HungUp {
            hung_up: HungUp {
                foreground: group,
                at,
                given,
            },
        },
    }
}

/// Kills the rest of the foreground that was hung up, the present foreground, and the leader, including
/// processes that are forked meanwhile. Background processes stay, as under sshd.
pub(crate) fn kill(leader: &Process, hung_up: &HungUp) -> Answer {
    // The leader may be gone, and its pid reused. A session's number is not reused while a process has
    // it, so one process that is older than the hang-up vouches for all.
    let lives = processes::find(leader);
    let older = |process: &Stat| process.starttime <= hung_up.at;
    if lives.is_none() && !members(leader).any(|process| older(&process)) {
        return Answer::Gone;
    }
    let now = lives.as_ref().map(foreground).map(i32::unsigned_abs);
    let wanted = |process: &Stat| {
        let group = process.pgrp.unsigned_abs();
        if process.pid.unsigned_abs() == leader.pid {
            return lives.is_some();
        }
        let hung = group == hung_up.foreground || Some(group) == now;
        hung && match &hung_up.given {
            Some(given) => !background::is_detached(process, leader, given),
            None => group != leader.pid || !background::ignores_hang_ups(process, leader),
        }
    };
    let mut reached = HashSet::new();
    for _ in 0..LOOKS {
        let found: Vec<_> = members(leader)
            .filter(|process| !reached.contains(&(process.pid, process.starttime)))
            .filter(|process| wanted(process))
            .collect();
        if found.is_empty() {
            return answer(Ok(reached.len()));
        }
        reached.extend(found.iter().map(|process| (process.pid, process.starttime)));
        if let Err(error) = send(found, &[Signal::KILL]) {
            return failed(error);
        }
    }
    failed(Error::Forks(reached.len()))
}

/// The session's processes. The session's number is the leader's pid, and no other session has it
/// meanwhile.
fn members(leader: &Process) -> impl Iterator<Item = Stat> {
    processes::all().filter(move |process| {
        process.session.unsigned_abs() == leader.pid
            && process.starttime >= leader.start_time
            && !processes::ended(process)
            && processes::is_in(process.pid, &leader.container)
    })
}

/// The answer if a leader that is gone has left nothing that is surely its session's. One process
/// vouches for all with the session's number: one that bears the mark, or that is older than the last
/// look at the leader.
fn nothing_left(leader: &Process, session: Option<&str>, seen: Option<u64>) -> Option<Answer> {
    let pid = i32::try_from(leader.pid).ok();
    let another = pid.and_then(processes::stat);
    if another.is_some_and(|another| !processes::ended(&another)) {
        return Some(Answer::Gone);
    }
    let older = |one: &Stat| seen.is_some_and(|seen| one.starttime <= seen);
    let marked = |one: &Stat| {
        let look = |session| processes::has_mark(one, &leader.container, session);
        session.is_some_and(|session| look(session).unwrap_or(false))
    };
    let mut left = members(leader).peekable();
    if left.peek().is_none() {
        return Some(Answer::Gone);
    }
    let sure = left.any(|one| older(&one) || marked(&one));
    (!sure).then_some(Answer::InDoubt)
}

fn foreground(leader: &Stat) -> i32 {
    if leader.tty_nr != 0 && leader.tpgid > 0 {
        leader.tpgid
    } else {
        leader.pgrp
    }
}

fn answer(sent: Result<usize, Error>) -> Answer {
    match sent {
        Ok(processes) => Answer::Done { processes },
        Err(error) => failed(error),
    }
}

fn failed(error: impl Display) -> Answer {
    let reason = error.to_string();
    Answer::Failed { reason }
}

/// Sends signals once to each process: parents before children, so that no shell continues its script
/// because the command that it waits for has ended. The first error is told after all have been tried.
fn send(mut found: Vec<Stat>, signals: &[Signal]) -> Result<usize, Error> {
    found.sort_unstable_by_key(|process| (process.starttime, process.pid));
    let mut failed = None;
    for process in &found {
        if let Err(source) = send_to(process, signals) {
            let pid = process.pid;
            failed.get_or_insert(Error::Signal { pid, source });
        }
    }
    failed.map_or(Ok(found.len()), Err)
}

/// A process that ends in between needs no signal.
fn send_to(process: &Stat, signals: &[Signal]) -> rustix::io::Result<()> {
    let Some(pid) = Pid::from_raw(process.pid) else {
        return Ok(());
    };
    let pinned = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        opened => opened?,
    };
    let same = processes::stat(process.pid)
        .is_some_and(|now| now.starttime == process.starttime && now.session == process.session);
    if !same {
        return Ok(());
    }
    for &signal in signals {
        match pidfd_send_signal(&pinned, signal) {
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            sent => sent?,
        }
    }
    Ok(())
}

fn number(signal: protocol::Signal) -> Signal {
    use protocol::Signal as Named;
    match signal {
        Named::Abrt => Signal::ABORT,
        Named::Alrm => Signal::ALARM,
        Named::Fpe => Signal::FPE,
        Named::Hup => Signal::HUP,
        Named::Ill => Signal::ILL,
        Named::Int => Signal::INT,
        Named::Kill => Signal::KILL,
        Named::Pipe => Signal::PIPE,
        Named::Quit => Signal::QUIT,
        Named::Segv => Signal::SEGV,
        Named::Term => Signal::TERM,
        Named::Usr1 => Signal::USR1,
        Named::Usr2 => Signal::USR2,
    }
}
