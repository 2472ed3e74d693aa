//! Signals to a session's foreground. Every process is pinned by a descriptor and looked at again
//! before it is signalled, so none that took over a pid is ever reached.

use std::collections::HashSet;

use procfs::process::Stat;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::processes;
use podgate_helper::protocol::{self, Answer, HungUp, Process};
use podgate_helper::ticks;

/// A group that forks faster than it can be signalled is left after so many looks at all processes.
const LOOKS: usize = 16;

/// Sends a signal to the session's foreground: the terminal's foreground group, or without one the
/// leader's group. A wrapper that only waits for the program is left out.
pub(crate) fn signal(leader: &Process, signal: protocol::Signal) -> Answer {
    let Some(stat) = processes::find(leader) else {
        return Answer::Gone;
    };
    let group = foreground(&stat);
    let wrapper = processes::waits_for_program(stat.pid).then_some(stat.pid);
    send(leader, &[number(signal)], |process| {
        process.pgrp == group && Some(process.pid) != wrapper
    })
}

/// Sends SIGHUP and SIGCONT to the leader's group and the foreground's, as a terminal that hangs up
/// does (and sshd by closing it).
pub(crate) fn hang_up(leader: &Process) -> Answer {
    let Some(stat) = processes::find(leader) else {
        return Answer::Gone;
    };
    let group = foreground(&stat);
    let hung_up = HungUp {
        foreground: group.unsigned_abs(),
        at: ticks::now(),
    };
    let groups = [group, stat.pgrp];
    match send(leader, &[Signal::HUP, Signal::CONT], |process| {
        groups.contains(&process.pgrp)
    }) {
        failed @ Answer::Failed { .. } => failed,
        _ => Answer::HungUp { hung_up },
    }
}

/// Kills what is left of the foreground that was hung up, of that which there is now, and the leader.
/// Where jobs have no groups of their own, what bears the marks of a background job stays, as under
/// sshd.
pub(crate) fn kill(leader: &Process, hung_up: HungUp) -> Answer {
    // The leader may be gone, and its pid another's. The session's number is not given away while a
    // process has it, so one that is older than the hang-up vouches for all.
    let lives = processes::find(leader);
    let older = |process: &Stat| process.starttime <= hung_up.at;
    if lives.is_none() && !members(leader).any(|process| older(&process)) {
        return Answer::Gone;
    }
    let now = lives.as_ref().map(foreground).map(i32::unsigned_abs);
    send(leader, &[Signal::KILL], |process| {
        let group = process.pgrp.unsigned_abs();
        if process.pid.unsigned_abs() == leader.pid {
            return lives.is_some();
        }
        let hung = group == hung_up.foreground || Some(group) == now;
        hung && (group != leader.pid || !processes::is_background(process, leader.pid))
    })
}

/// The session's processes: its number is the leader's pid, which no other has meanwhile.
fn members(leader: &Process) -> impl Iterator<Item = Stat> {
    processes::all().filter(move |process| {
        process.session.unsigned_abs() == leader.pid
            && process.starttime >= leader.start_time
            && !processes::ended(process)
            && processes::is_in(process.pid, &leader.container)
    })
}

fn foreground(leader: &Stat) -> i32 {
    if leader.tty_nr != 0 && leader.tpgid > 0 {
        leader.tpgid
    } else {
        leader.pgrp
    }
}

/// Sends signals once to each process of the session that is wanted, those included that are forked
/// meanwhile.
fn send(leader: &Process, signals: &[Signal], wanted: impl Fn(&Stat) -> bool) -> Answer {
    let mut reached = HashSet::new();
    for _ in 0..LOOKS {
        let mut found = false;
        for process in members(leader).filter(|process| wanted(process)) {
            if reached.insert((process.pid, process.starttime)) {
                found = true;
                if let Err(error) = send_to(&process, signals) {
                    let reason = format!("cannot signal process {}: {error}", process.pid);
                    return Answer::Failed { reason };
                }
            }
        }
        if !found {
            let processes = reached.len();
            return Answer::Done { processes };
        }
    }
    let reason = format!("{} processes, and still more are forked", reached.len());
    Answer::Failed { reason }
}

/// One that ends in between needs no signal.
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
