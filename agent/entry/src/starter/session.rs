//! The processes of a program: those of the session that its first process leads. The kernel gives a
//! session's number to no other process while one is in it, so members are known for certain. Every
//! process is pinned by a descriptor and looked at again before it is signalled.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use podgate_node_entry::protocol::Process;

use crate::processes::{self, Stat};

/// A program that forks faster than it can be signalled is left after so many looks.
const LOOKS: usize = 16;

/// A program's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) leader: Process,
    /// The numbers of the pipes that it was given; none with a terminal.
    pub(crate) pipes: Option<[u64; 3]>,
    /// Set once its terminal has hung up.
    pub(crate) hung_up: Option<HungUp>,
}

/// A terminal that has hung up. The kernel shows no foreground of it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HungUp {
    /// The group that was in its foreground; 0 if there was none.
    pub(crate) foreground: i32,
    /// When, in clock ticks since boot.
    pub(crate) at: u64,
}

impl Session {
    /// Sends a signal to the foreground: the terminal's foreground group, or the leader's group.
    pub(crate) fn signal(&self, signal: Signal) -> usize {
        self.send(&[signal], &look(), 1, |this, members| {
            let leader = members.iter().find(|it| it.process() == this.leader);
            let group = leader.map(|it| match this.pipes {
                None if it.terminal != 0 && it.foreground > 0 => it.foreground,
                _ => it.group,
            });
            members
                .iter()
                .filter(|it| Some(it.group) == group)
                .copied()
                .collect()
        })
    }

    /// Signals as a terminal that hangs up does: once. What a handler starts is not signalled.
    pub(crate) fn hang_up(&self) -> usize {
        self.hang_up_among(&look())
    }

    /// The same of what a look has found, which may be for several sessions.
    pub(crate) fn hang_up_among(&self, all: &[Stat]) -> usize {
        self.send(&[Signal::HUP, Signal::CONT], all, 1, Self::foreground)
    }

    /// Kills the foreground, and what it forks meanwhile.
    pub(crate) fn kill(&self) -> usize {
        self.kill_among(&look())
    }

    /// The same, at first of what a look has found.
    pub(crate) fn kill_among(&self, all: &[Stat]) -> usize {
        self.send(&[Signal::KILL], all, LOOKS, Self::foreground)
    }

    /// Whether there is anything to hang up among all processes of the node.
    pub(crate) fn is_over(&self, all: &[Stat]) -> bool {
        self.foreground(&self.members(all)).is_empty()
    }

    /// How many processes there are to hang up.
    pub(crate) fn left(&self) -> usize {
        self.foreground(&self.members(&look())).len()
    }

    fn members(&self, all: &[Stat]) -> Vec<Stat> {
        let is_member = |it: &&Stat| {
            it.session == self.leader.pid
                && it.start_time >= self.leader.start_time
                && !it.has_ended()
        };
        all.iter().filter(is_member).copied().collect()
    }

    /// What ends with the session. With a terminal: the leader's group and the terminal's foreground.
    /// Without one: all but what has detached itself, as long as something still holds the session.
    fn foreground(&self, members: &[Stat]) -> Vec<Stat> {
        let leader = members.iter().find(|it| it.process() == self.leader);
        let Some(pipes) = &self.pipes else {
            let groups = self.groups(leader, members);
            let is_in = |it: &&Stat| groups.contains(&it.group);
            return members.iter().filter(is_in).copied().collect();
        };
        let detached: HashSet<i32> = members
            .iter()
            .filter(|it| is_detached(it.pid, pipes))
            .map(|it| it.pid)
            .collect();
        let spared = processes::with_descendants(detached, members);
        let kept: Vec<Stat> = members
            .iter()
            .filter(|it| !spared.contains(&it.pid))
            .copied()
            .collect();
        // Without its leader the session's number alone does not say that it still is this one.
        if leader.is_some() || kept.iter().any(|it| holds(it.pid, pipes)) {
            kept
        } else {
            Vec::new()
        }
    }

    /// With a terminal, the groups that end with the session. Without its leader, only a process that
    /// is older than the hang-up shows that the session's number still is this one's: it has kept the
    /// number in use since.
    fn groups(&self, leader: Option<&Stat>, members: &[Stat]) -> Vec<i32> {
        let mut groups: Vec<i32> = leader
            .map(|it| vec![it.group, it.foreground])
            .unwrap_or_default();
        if let Some(hung_up) = self.hung_up
            && (leader.is_some() || members.iter().any(|it| it.start_time <= hung_up.at))
        {
            groups.extend([self.leader.pid, hung_up.foreground]);
        }
        groups
    }

    /// Sends signals once to each process that is wanted of those that a first look has found, and then
    /// of others, until a look finds no more.
    fn send(
        &self,
        signals: &[Signal],
        first: &[Stat],
        looks: usize,
        wanted: fn(&Self, &[Stat]) -> Vec<Stat>,
    ) -> usize {
        let mut reached = HashSet::new();
        let mut all = Cow::Borrowed(first);
        for turn in 0..looks {
            if turn > 0 {
                all = Cow::Owned(look());
            }
            let mut found = false;
            for stat in wanted(self, &self.members(&all)) {
                if reached.insert((stat.pid, stat.start_time)) {
                    found = true;
                    if let Err(error) = send_to(&stat, signals) {
                        eprintln!(
                            "podgate-node-entry: cannot signal process {}: {error}",
                            stat.pid
                        );
                    }
                }
            }
            if !found {
                break;
            }
        }
        reached.len()
    }
}

/// All processes of the node.
pub(crate) fn look() -> Vec<Stat> {
    processes::all().collect()
}

/// Whether a process has left its session: it reads nothing and writes nothing of the session, or a
/// shell has put it into the background.
fn is_detached(pid: i32, pipes: &[u64; 3]) -> bool {
    let reads_nothing =
        processes::descriptor(pid, 0).is_some_and(|it| it == Path::new("/dev/null"));
    let writes = |number| {
        let link = processes::descriptor(pid, number);
        let pipe = link.as_deref().and_then(processes::pipe_of);
        pipe.is_some_and(|pipe| pipes.contains(&pipe))
    };
    reads_nothing && (!(writes(1) || writes(2)) || processes::ignores_the_keyboard(pid))
}

fn holds(pid: i32, pipes: &[u64; 3]) -> bool {
    (0..3).any(|number| {
        let link = processes::descriptor(pid, number);
        link.as_deref()
            .and_then(processes::pipe_of)
            .is_some_and(|it| pipes.contains(&it))
    })
}

/// One that ends in between needs no signal.
fn send_to(stat: &Stat, signals: &[Signal]) -> Result<(), Errno> {
    let Some(pid) = Pid::from_raw(stat.pid) else {
        return Ok(());
    };
    let pinned = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(()),
        opened => opened?,
    };
    let same = processes::stat(stat.pid)
        .is_some_and(|now| now.process() == stat.process() && now.session == stat.session);
    if !same {
        return Ok(());
    }
    for &signal in signals {
        match pidfd_send_signal(&pinned, signal) {
            Err(Errno::SRCH) => return Ok(()),
            sent => sent?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, PipeReader, PipeWriter};
    use std::os::fd::AsFd;
    use std::process::{Child, Command};

    /// A script in a session of its own, between pipes of the test's.
    struct Run {
        child: Child,
        session: Session,
        lines: std::io::Lines<BufReader<PipeReader>>,
        _input: PipeWriter,
    }

    fn run(script: &str) -> Run {
        let (stdin, input) = std::io::pipe().unwrap();
        let (output, stdout) = std::io::pipe().unwrap();
        let pipe = |fd: &dyn AsFd| rustix::fs::fstat(fd.as_fd()).unwrap().st_ino;
        let pipes = [pipe(&stdin), pipe(&stdout), pipe(&stdout)];
        let stderr = stdout.try_clone().unwrap();
        let mut command = Command::new("setsid");
        command
            .args(["sh", "-c", script])
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr);
        let child = command.spawn().unwrap();
        drop(command);
        let mut lines = BufReader::new(output).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        let leader = processes::stat(child.id() as i32).unwrap().process();
        Run {
            child,
            session: Session {
                leader,
                pipes: Some(pipes),
                hung_up: None,
            },
            lines,
            _input: input,
        }
    }

    fn alive(line: Option<Result<String, std::io::Error>>) -> Process {
        let pid = line.unwrap().unwrap().parse().unwrap();
        processes::stat(pid).unwrap().process()
    }

    fn end(process: Process) {
        let stat = processes::find(process).expect("it lives on");
        send_to(&stat, &[Signal::KILL]).unwrap();
    }

    #[test]
    fn what_is_in_the_foreground_is_hung_up_and_its_handlers_run() {
        let mut run =
            run("exec 3<&0; trap 'echo saved; exit 3' HUP; sleep 1000 <&3 & echo ready; wait");
        assert!(!run.session.is_over(&processes::all().collect::<Vec<_>>()));
        run.session.hang_up();
        assert_eq!(run.lines.next().unwrap().unwrap(), "saved");
        assert_eq!(run.child.wait().unwrap().code(), Some(3));
        run.session.kill();
        let left: Vec<_> = processes::all().collect();
        assert!(run.session.is_over(&left));
    }

    #[test]
    fn what_has_detached_itself_lives_on_with_its_children() {
        let mut run = run(
            "echo ready; sh -c 'sleep 1000 & echo $! >&3; wait' 3>&1 </dev/null >/dev/null 2>&1 &
             echo $!; setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $!; sleep 1000",
        );
        let mut detached = vec![alive(run.lines.next()), alive(run.lines.next())];
        detached.push(alive(run.lines.next()));
        run.session.hang_up();
        run.session.kill();
        assert!(!run.child.wait().unwrap().success());
        // Its own child is seen at the end of the output, which none of them holds.
        detached.into_iter().for_each(end);
    }

    #[test]
    fn a_holder_is_found_after_its_leader_has_ended() {
        let mut run = run("exec 3<&0; (trap '' HUP; echo ready; exec sleep 1000) <&3 & exit 0");
        assert!(run.child.wait().unwrap().success());
        assert!(run.session.hang_up() > 0);
        assert!(run.session.kill() > 0);
        assert!(run.lines.next().is_none(), "its output has ended");
        // Another session of that number has none of the pipes.
        let other = Session {
            pipes: Some([0; 3]),
            ..run.session
        };
        assert_eq!(other.kill(), 0);
    }

    #[test]
    fn a_terminals_foreground_is_known_after_it_has_hung_up_as_long_as_its_session_is() {
        let leader = Process {
            pid: 10,
            start_time: 100,
        };
        let stat = |pid, group, start_time| Stat {
            pid,
            state: b'S',
            parent: 1,
            group,
            session: 10,
            terminal: 0,
            foreground: -1,
            threads: 1,
            start_time,
        };
        let hung_up = Some(HungUp {
            foreground: 20,
            at: 200,
        });
        let session = |hung_up| Session {
            leader,
            pipes: None,
            hung_up,
        };
        let check = |hung_up, all: &[Stat], expect: &[i32]| {
            let session = session(hung_up);
            let found = session.foreground(&session.members(all));
            let found: Vec<i32> = found.iter().map(|it| it.pid).collect();
            assert_eq!(found, expect, "{all:?}");
        };
        let (shell, job, forked) = (stat(10, 10, 100), stat(20, 20, 150), stat(21, 20, 250));
        let (background, older) = (stat(30, 30, 150), stat(10, 10, 90));
        check(hung_up, &[shell, job, forked, background], &[10, 20, 21]);
        check(None, &[shell, job, background], &[10]);
        check(hung_up, &[job, forked, background], &[20, 21]);
        check(hung_up, &[forked, background], &[21]);
        check(None, &[job, background], &[]);
        // Nothing from before the hang-up is left, so the number may be another session's by now.
        check(hung_up, &[forked], &[]);
        check(hung_up, &[older], &[]);
    }

    #[test]
    fn a_signal_reaches_the_leaders_group() {
        let mut run = run("trap 'echo usr1; exit 4' USR1; echo ready; while :; do sleep 0.1; done");
        assert!(run.session.signal(Signal::USR1) > 0);
        // The shell says of what it waited for that it was signalled, too.
        assert!(run.lines.by_ref().any(|line| line.unwrap() == "usr1"));
        assert_eq!(run.child.wait().unwrap().code(), Some(4));
    }
}
